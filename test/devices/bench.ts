/** A machine with nothing but a clock, a bus and lines that remember: what a device under test is plugged into. */

import { SystemBus } from '../../src/devices/bus/system-bus.ts'
import type { GuestMemory, InterruptLine } from '../../src/devices/device.ts'
import { VirtualClock } from '../../src/util/virtual-clock.ts'

/** An interrupt line that counts its rising edges. */
export class ProbeLine implements InterruptLine {
  level = false
  edges = 0

  set(asserted: boolean): void {
    if (asserted && !this.level) this.edges++
    this.level = asserted
  }
}

export class FlatMemory implements GuestMemory {
  readonly bytes: Uint8Array

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  get size(): number {
    return this.bytes.length
  }

  read(gpa: number, length: number): Uint8Array {
    this.#check(gpa, length)
    return this.bytes.slice(gpa, gpa + length)
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length)
    this.bytes.set(bytes, gpa)
  }

  #check(gpa: number, length: number): void {
    if (gpa < 0 || gpa + length > this.bytes.length) throw new RangeError(`no RAM at ${gpa} + ${length}`)
  }
}

export class Bench {
  readonly clock = new VirtualClock()
  readonly bus = new SystemBus()

  /** Lets virtual time pass, firing timers on the way as a VM does. */
  advance(nanoseconds: number): void {
    const end = this.clock.now + nanoseconds
    while (this.clock.deadline <= end) {
      this.clock.skipTo(this.clock.deadline)
      this.clock.fireDue()
    }
    this.clock.skipTo(end)
  }

  in(port: number): number {
    return this.bus.readPort(port, 1)
  }

  out(port: number, value: number): void {
    this.bus.writePort(port, 1, value)
  }
}

/** A generator of pseudo-random integers in [0, bound): the same seed gives the same sequence (xorshift32). */
export function random(seed: number): (bound: number) => number {
  let state = seed | 0 || 1
  return bound => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
}
