/**
 * The sixteen ISA interrupt requests. Each goes to the 8259 pair and to the I/O APIC alike, and several devices may
 * pull on one (COM1 and COM3, PCI devices): it is asserted while any of them asserts it.
 */

import type { Json } from '../../util/json.ts'
import type { Device, InterruptLine, RegisterView } from '../device.ts'
import { SavedState } from '../saved-state.ts'

const REQUESTS = 16

/** At most 31 devices share one request: each has a bit of a number. */
const MAX_SOURCES = 31

export class IsaInterrupts implements Device {
  readonly name = 'isa-interrupts'
  readonly #outputs: readonly (readonly InterruptLine[])[]
  /** For each request, a bit for each source that asserts it. */
  readonly #asserted: number[] = new Array(REQUESTS).fill(0)
  readonly #sources: number[] = new Array(REQUESTS).fill(0)

  /** @param outputs gives the controllers' inputs for each request: on a PC, request 0 is pin 2 of the I/O APIC. */
  constructor(outputs: (irq: number) => readonly InterruptLine[]) {
    this.#outputs = Array.from({ length: REQUESTS }, (_, irq) => outputs(irq))
  }

  /**
   * A new source for one request. Create sources in the same order whenever the machine is built: saved state counts
   * on it.
   */
  source(irq: number): InterruptLine {
    if (irq < 0 || irq >= REQUESTS) throw new Error(`interrupt request ${irq}: an ISA bus has 0 to ${REQUESTS - 1}`)
    if (this.#sources[irq] === MAX_SOURCES)
      throw new Error(`interrupt request ${irq}: more than ${MAX_SOURCES} devices; give one of them another`)
    const bit = 1 << this.#sources[irq]++
    return {
      set: asserted => {
        const before = this.#asserted[irq]
        const after = asserted ? before | bit : before & ~bit
        this.#asserted[irq] = after
        if ((before !== 0) !== (after !== 0)) for (const output of this.#outputs[irq]) output.set(after !== 0)
      },
    }
  }

  reset(): void {
    this.#asserted.fill(0)
  }

  save(): Json {
    return { asserted: [...this.#asserted] }
  }

  restore(state: Json): void {
    const asserted = new SavedState(this.name, state).numbers('asserted', REQUESTS)
    for (let irq = 0; irq < REQUESTS; irq++) this.#asserted[irq] = asserted[irq]
  }

  registers(): readonly RegisterView[] {
    let lines = 0
    for (let irq = 0; irq < REQUESTS; irq++) if (this.#asserted[irq] !== 0) lines |= 1 << irq
    return [{ name: 'IRQ', value: lines, width: 16, meaning: 'requests asserted, a bit each' }]
  }
}
