/**
 * The stack of what a handler threw, as it is kept: whoever may read a task may read it, and is not to learn where on the machine things
 * lie. Files below the working folder are named from there, those of packages from node_modules on, all others by their name alone.
 */

/** A message may be of any length; what is kept is far shorter. */
const READ = 20_000;
/** The folder in a frame: an absolute path, or the URL of one, at the place where frames have theirs. */
const FOLDER = /(?<=\(|\bat |\basync )(?:file:\/\/)?(?:[\\/]|[A-Za-z]:[\\/])(?:[^()]*[\\/])?/g;

/** `workingFolder`: absolute. */
export function shownStack(stack: string, workingFolder: string): string {
  const own = plain(workingFolder).replace(/\/$/, '');
  // All of the machine lies below its root: a service that was started there shows no folder.
  const home = own === '' || /^[A-Za-z]:$/.test(own) ? null : `${own}/`;
  return stack
    .slice(0, READ)
    .split('\n')
    .map((line) => (/^\s+at /.test(line) ? line.replace(FOLDER, (folder) => shownFolder(plain(folder), home)) : line))
    .join('\n');
}

function shownFolder(folder: string, home: string | null): string {
  if (home !== null && folder.startsWith(home)) return folder.slice(home.length);
  const packages = folder.indexOf('/node_modules/');
  return packages < 0 ? '' : folder.slice(packages + 1);
}

/** A path with slashes, be it of Windows or in a URL. */
function plain(path: string): string {
  const isUrl = path.startsWith('file://');
  const slashed = (isUrl ? path.slice('file://'.length) : path).replaceAll('\\', '/').replace(/^\/(?=[A-Za-z]:)/, '');
  try {
    return isUrl ? decodeURI(slashed) : slashed;
  } catch {
    return slashed;
  }
}
