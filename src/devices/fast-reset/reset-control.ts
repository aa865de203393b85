/**
 * The chipset's reset control register at 0xCF9 (82371SB data sheet, 2.5.8). Its port lies among those of PCI
 * configuration, so the PCI host bridge claims it and hands accesses on.
 */

import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { Device, PortHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'

export const RESET_CONTROL_PORT = 0xcf9

/** Set: the next reset is of the whole system. */
const SYSTEM_RESET = 0x02
const RESET_PROCESSOR = 0x04

export class ResetControl implements Device, PortHandler {
  readonly name = 'reset-control'
  readonly #onReset: () => void
  #value = 0

  /** @param onReset the guest has reset the machine. */
  constructor(onReset: () => void) {
    this.#onReset = onReset
  }

  reset(): void {
    this.#value = 0
  }

  readPort(_port: number, _size: AccessSize): number {
    return this.#value
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    const before = this.#value
    this.#value = value & (SYSTEM_RESET | RESET_PROCESSOR)
    if (this.#value & ~before & RESET_PROCESSOR) this.#onReset()
  }

  save(): Json {
    return { value: this.#value }
  }

  restore(state: Json): void {
    this.#value = new SavedState(this.name, state).number('value')
  }

  registers(): readonly RegisterView[] {
    return [{ name: 'RC', value: this.#value, width: 8 }]
  }
}
