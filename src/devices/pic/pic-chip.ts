/** One 8259A (Intel data sheet 231468, 1988). */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'

const ICW1_SINGLE = 0x02
const ICW1_ICW4 = 0x01
const ICW1 = 0x10
const ICW4_AUTO_EOI = 0x02
const ICW4_SPECIAL_FULLY_NESTED = 0x10
const OCW3 = 0x08

/** Which word port 1 takes next. */
const EXPECT_OCW1 = 0
const EXPECT_ICW2 = 2
const EXPECT_ICW3 = 3
const EXPECT_ICW4 = 4

/** The request that a controller reports when there is none any more. */
export const SPURIOUS = 7

export class PicChip {
  /** Level-triggered inputs (ELCR of the chipset, which replaces ICW1's LTIM bit: 82371SB data sheet, 2.5.2.1). */
  levels = 0
  /** State of the input pins. */
  pins = 0
  /** Edges that came and are not acknowledged. */
  edges = 0
  mask = 0
  inService = 0
  vectorBase = 0
  readInService = false
  #lowestPriority = 7
  #expected = EXPECT_OCW1
  #wantsIcw4 = false
  #single = false
  #autoEoi = false
  #rotateOnAutoEoi = false
  #specialMask = false
  #specialFullyNested = false
  #poll = false
  /** Bit of the input that the slave drives, 0 on the slave. */
  readonly #cascade: number

  constructor(cascadeInput?: number) {
    this.#cascade = cascadeInput === undefined ? 0 : 1 << cascadeInput
  }

  reset(): void {
    this.levels = 0
    this.pins = 0
    this.#initialize()
    this.vectorBase = 0
    this.#expected = EXPECT_OCW1
    this.#wantsIcw4 = false
    this.#single = false
  }

  /**
   * A slave's request counts as long as it is there, and once more if it came and went: that makes the spurious
   * IRQ 15, and no sequence of polls, EOIs and initializations can lose a request that stays.
   */
  get requests(): number {
    return (this.edges & ~this.levels) | (this.pins & (this.levels | this.#cascade))
  }

  setPin(input: number, asserted: boolean): void {
    const bit = 1 << input
    if (asserted && !(this.pins & bit)) this.edges |= bit
    this.pins = asserted ? this.pins | bit : this.pins & ~bit
  }

  /** The request to deliver now, or undefined. */
  pending(): number | undefined {
    const request = this.#highest(this.requests & ~this.mask)
    if (request === undefined) return undefined
    let blocking = this.inService
    // In special mask mode a masked level in service does not hold back the others.
    if (this.#specialMask) blocking &= ~this.mask
    // In special fully nested mode the slave may interrupt its own service.
    if (this.#specialFullyNested) blocking &= ~this.#cascade
    const current = this.#highest(blocking)
    return current === undefined || this.#rank(request) < this.#rank(current) ? request : undefined
  }

  acknowledge(request: number): void {
    const bit = 1 << request
    this.edges &= ~bit
    if (!this.#autoEoi) this.inService |= bit
    else if (this.#rotateOnAutoEoi) this.#lowestPriority = request
  }

  read(port: 0 | 1): number {
    if (this.#poll) {
      this.#poll = false
      // OCW3 P=1: the next read is taken as an interrupt acknowledge.
      const request = this.pending()
      if (request === undefined) return 0
      this.acknowledge(request)
      return 0x80 | request
    }
    if (port === 1) return this.mask
    return this.readInService ? this.inService : this.requests
  }

  write(port: 0 | 1, value: number): void {
    if (port === 1) this.#writeData(value)
    else if (value & ICW1) {
      this.#initialize()
      this.#wantsIcw4 = (value & ICW1_ICW4) !== 0
      this.#single = (value & ICW1_SINGLE) !== 0
      this.#expected = EXPECT_ICW2
    } else if (value & OCW3) this.#writeOcw3(value)
    else this.#writeOcw2(value)
  }

  #initialize(): void {
    this.edges = 0
    this.mask = 0
    this.inService = 0
    this.readInService = false
    this.#lowestPriority = 7
    this.#autoEoi = false
    this.#rotateOnAutoEoi = false
    this.#specialMask = false
    this.#specialFullyNested = false
    this.#poll = false
  }

  #writeData(value: number): void {
    switch (this.#expected) {
      case EXPECT_ICW2:
        this.vectorBase = value & 0xf8
        this.#expected = this.#single ? this.#afterIcw3 : EXPECT_ICW3
        break
      case EXPECT_ICW3:
        // How the two are wired is fixed on a PC: the slave is at input 2.
        this.#expected = this.#afterIcw3
        break
      case EXPECT_ICW4:
        this.#autoEoi = (value & ICW4_AUTO_EOI) !== 0
        this.#specialFullyNested = (value & ICW4_SPECIAL_FULLY_NESTED) !== 0
        this.#expected = EXPECT_OCW1
        break
      default:
        this.mask = value
    }
  }

  get #afterIcw3(): number {
    return this.#wantsIcw4 ? EXPECT_ICW4 : EXPECT_OCW1
  }

  #writeOcw2(value: number): void {
    const level = value & 7
    switch (value >>> 5) {
      case 0:
      case 4:
        this.#rotateOnAutoEoi = value >>> 5 === 4
        break
      case 1:
      case 5: {
        // A non-specific EOI doesn't reset a level that is masked in special mask mode.
        const serviced = this.#highest(this.#specialMask ? this.inService & ~this.mask : this.inService)
        if (serviced === undefined) break
        this.inService &= ~(1 << serviced)
        if (value >>> 5 === 5) this.#lowestPriority = serviced
        break
      }
      case 3:
      case 7:
        this.inService &= ~(1 << level)
        if (value >>> 5 === 7) this.#lowestPriority = level
        break
      case 6:
        this.#lowestPriority = level
        break
    }
  }

  #writeOcw3(value: number): void {
    if (value & 0x04) this.#poll = true
    if (value & 0x02) this.readInService = (value & 0x01) !== 0
    if (value & 0x40) this.#specialMask = (value & 0x20) !== 0
  }

  /** 0 is the highest priority. */
  #rank(input: number): number {
    return (input - this.#lowestPriority - 1) & 7
  }

  #highest(inputs: number): number | undefined {
    if (inputs === 0) return undefined
    for (let rank = 0; rank < 8; rank++) {
      const input = (this.#lowestPriority + 1 + rank) & 7
      if (inputs & (1 << input)) return input
    }
    return undefined
  }

  save(): Json {
    return {
      levels: this.levels,
      pins: this.pins,
      edges: this.edges,
      mask: this.mask,
      inService: this.inService,
      vectorBase: this.vectorBase,
      readInService: this.readInService,
      lowestPriority: this.#lowestPriority,
      expected: this.#expected,
      wantsIcw4: this.#wantsIcw4,
      single: this.#single,
      autoEoi: this.#autoEoi,
      rotateOnAutoEoi: this.#rotateOnAutoEoi,
      specialMask: this.#specialMask,
      specialFullyNested: this.#specialFullyNested,
      poll: this.#poll,
    }
  }

  restore(saved: SavedState): void {
    this.levels = saved.number('levels')
    this.pins = saved.number('pins')
    this.edges = saved.number('edges')
    this.mask = saved.number('mask')
    this.inService = saved.number('inService')
    this.vectorBase = saved.number('vectorBase')
    this.readInService = saved.boolean('readInService')
    this.#lowestPriority = saved.number('lowestPriority')
    this.#expected = saved.number('expected')
    this.#wantsIcw4 = saved.boolean('wantsIcw4')
    this.#single = saved.boolean('single')
    this.#autoEoi = saved.boolean('autoEoi')
    this.#rotateOnAutoEoi = saved.boolean('rotateOnAutoEoi')
    this.#specialMask = saved.boolean('specialMask')
    this.#specialFullyNested = saved.boolean('specialFullyNested')
    this.#poll = saved.boolean('poll')
  }
}
