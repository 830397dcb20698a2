/** The worker of engine-setup.ts on a simulated machine: nothing happens at an instant but what must, and time passes when the test says so. */
import type { EngineConfig } from '../../src/engine/host.ts';
import { SimulatedProcess } from '../support/simulated-process.ts';
import { TestWorker } from './engine-setup.ts';

export class SimulatedEngine extends SimulatedProcess {
  worker = new TestWorker();

  private constructor() {
    super({ seed: 1, tag: 7 });
  }

  static async open(config: Partial<EngineConfig> = {}, slots = 10): Promise<SimulatedEngine> {
    const s = new SimulatedEngine();
    await s.boot(config, slots);
    return s;
  }

  /** The next process. */
  async boot(config: Partial<EngineConfig> = {}, slots = 10): Promise<void> {
    this.worker = new TestWorker();
    await this.start({ config });
    this.worker.connect(this.engine, slots);
  }

  async close(): Promise<void> {
    this.kill();
    await this.inner.close();
  }
}
