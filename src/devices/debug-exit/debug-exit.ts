/** QEMU's isa-debug-exit at port 0xf4: whatever is written there ends the run. */

import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, PortHandler, RegisterView } from '../device.ts'

export const DEBUG_EXIT_PORT = 0xf4
export const DEBUG_EXIT_PORTS = 4

export class DebugExit implements Device, PortHandler {
  readonly name = 'debug-exit'
  readonly #onExit: (value: number) => void

  /** @param onExit takes what the guest wrote; a process then ends with status `(value << 1) | 1`. */
  constructor(onExit: (value: number) => void) {
    this.#onExit = onExit
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, this)
  }

  reset(): void {}

  readPort(_port: number, _size: AccessSize): number {
    return 0
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.#onExit(value)
  }

  save(): Json {
    return {}
  }

  restore(_state: Json): void {}

  registers(): readonly RegisterView[] {
    return []
  }
}
