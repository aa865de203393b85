/** Port 0x92, system control port A of the PS/2: fast A20 gate and fast processor reset. */

import type { Json } from '../../util/json.ts'
import type { AccessSize } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, PortHandler, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'

const PORT_A = 0x92
const FAST_INIT = 0x01
const A20 = 0x02

export interface FastResetOptions {
  /** The guest has reset the processor. */
  readonly onReset: () => void
  /** The gate of address line 20 was switched. */
  readonly onA20?: (enabled: boolean) => void
}

export class FastReset implements Device, PortHandler {
  readonly name = 'fast-reset'
  readonly #onReset: () => void
  readonly #onA20: (enabled: boolean) => void
  #value = A20

  constructor(options: FastResetOptions) {
    this.#onReset = options.onReset
    this.#onA20 = options.onA20 ?? (() => undefined)
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(PORT_A, 1, this)
  }

  reset(): void {
    this.#value = A20
    this.#onA20(true)
  }

  readPort(_port: number, _size: AccessSize): number {
    return this.#value
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    const before = this.#value
    this.#value = value
    if ((value ^ before) & A20) this.#onA20((value & A20) !== 0)
    // Only the change from 0 to 1 resets; software must clear the bit before it can do so again.
    if (value & ~before & FAST_INIT) this.#onReset()
  }

  save(): Json {
    return { value: this.#value }
  }

  restore(state: Json): void {
    this.#value = new SavedState(this.name, state).number('value')
  }

  registers(): readonly RegisterView[] {
    return [
      {
        name: 'port 0x92',
        value: this.#value,
        width: 8,
        meaning: this.#value & A20 ? 'A20 enabled' : 'A20 disabled',
      },
    ]
  }
}
