/**
 * Breakpoints and watchpoints of one VM, by linear and guest-physical address. The processor knows host frames only: a
 * guest-physical address becomes one when it has a frame, and until then waits for it.
 */

import { PAGE_SIZE } from '../engine/host-memory.ts'
import type { CodeBreakpoint, CodeStops, Processor, StopView, WatchedAccess, Watchpoint } from '../engine/processor.ts'
import type { GuestPhysicalMemory } from './guest-memory.ts'
import { ProcessorStops, type StopOwner } from './processor-stops.ts'

/** As {@link CodeBreakpoint}, with `physical` for guest-physical. */
export interface VmBreakpoint extends Pick<CodeBreakpoint, 'address' | 'reached'> {
  readonly space: 'linear' | 'physical'
}

/** As {@link CodeStops}. */
export interface VmCodeStops extends Pick<CodeStops, 'int3' | 'magic'> {
  readonly breakpoints: readonly VmBreakpoint[]
}

/** As {@link Watchpoint}; accesses to guest-physical ranges tell guest-physical addresses. */
export interface VmWatchpoint extends Omit<Watchpoint, 'space'> {
  readonly space: 'linear' | 'physical'
}

export class DebugStops {
  readonly #owner: StopOwner
  readonly #processor: ProcessorStops
  readonly #memory: GuestPhysicalMemory
  #code: VmCodeStops = { breakpoints: [] }
  #watchpoints: readonly VmWatchpoint[] = []

  constructor(owner: StopOwner, processor: Processor, memory: GuestPhysicalMemory) {
    this.#owner = owner
    this.#processor = ProcessorStops.of(processor)
    this.#memory = memory
    memory.framesChanged = (first, last) => this.#framesChanged(first, last)
  }

  setCode(stops: VmCodeStops): void {
    this.#code = stops
    this.#applyCode()
  }

  setWatchpoints(watchpoints: readonly VmWatchpoint[]): void {
    this.#watchpoints = watchpoints
    this.#applyWatchpoints()
  }

  #framesChanged(first: number, last: number): void {
    const touches = ({ space, address }: { space: string; address: bigint }, length: number) =>
      space === 'physical' && address < BigInt(last) && address + BigInt(length) > BigInt(first)
    if (this.#code.breakpoints.some(each => touches(each, 1))) this.#applyCode()
    if (this.#watchpoints.some(each => touches(each, each.length))) this.#applyWatchpoints()
  }

  #applyCode(): void {
    const breakpoints = this.#code.breakpoints.flatMap((breakpoint): CodeBreakpoint[] => {
      if (breakpoint.space === 'linear') return [{ ...breakpoint, space: 'linear' }]
      const host = this.#memory.hostAddress(Number(breakpoint.address))
      return host === undefined ? [] : [{ ...breakpoint, space: 'host', address: BigInt(host) }]
    })
    this.#processor.setCode(this.#owner, { ...this.#code, breakpoints })
  }

  #applyWatchpoints(): void {
    this.#processor.setWatchpoints(
      this.#owner,
      this.#watchpoints.flatMap((watchpoint): Watchpoint[] =>
        watchpoint.space === 'linear' ? [{ ...watchpoint, space: 'linear' }] : this.#hostPieces(watchpoint),
      ),
    )
  }

  /** A range of guest-physical memory in the frames that it has, a piece for each page. */
  #hostPieces(watchpoint: VmWatchpoint): Watchpoint[] {
    const pieces: Watchpoint[] = []
    const start = Number(watchpoint.address)
    for (let gpa = start; gpa < start + watchpoint.length; ) {
      const length = Math.min(start + watchpoint.length - gpa, PAGE_SIZE - (gpa % PAGE_SIZE))
      const host = this.#memory.hostAddress(gpa)
      const offset = BigInt(gpa) - BigInt(host ?? 0)
      const met = (access: WatchedAccess, view: StopView): boolean =>
        watchpoint.met?.({ ...access, address: access.address + offset }, view) ?? true
      if (host !== undefined) pieces.push({ ...watchpoint, space: 'host', address: BigInt(host), length, met })
      gpa += length
    }
    return pieces
  }
}
