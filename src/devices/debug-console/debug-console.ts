/** The debug console at port 0xE9, as Bochs and QEMU have it: each byte written is a character for the host. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, PortHandler, RegisterView } from '../device.ts'

export const DEBUG_CONSOLE_PORT = 0xe9

/** What a read gives: software finds out by it that the port is there. */
const PRESENT = 0xe9

export class DebugConsole implements Device, PortHandler {
  readonly name = 'debug-console'
  readonly #sink: (byte: number) => void

  /** @param sink takes each byte the guest writes. */
  constructor(sink: (byte: number) => void) {
    this.#sink = sink
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(DEBUG_CONSOLE_PORT, 1, this)
  }

  reset(): void {}

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, () => PRESENT)
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (_at, byte) => this.#sink(byte))
  }

  save(): Json {
    return {}
  }

  restore(_state: Json): void {}

  registers(): readonly RegisterView[] {
    return [{ name: 'port 0xE9', value: PRESENT, width: 8 }]
  }
}
