/** A submission above this many steps arrives in chunks of it, `initializing` until the last (design.md §3). */
export const ARRIVAL_CHUNK = 512;
