/**
 * Watches a guest for its Linux kernel, so that names are known as soon as they mean something: the stops that this
 * takes, none of which the user sees. They are few, and go once the kernel is found.
 */

import type { MachineView } from '../../inspect/machine-view.ts'
import type { StopRequest } from '../stop-request.ts'
import type { SymbolBook } from '../symbol-book.ts'
import type { Target } from '../target.ts'
import { type FollowerOptions, KernelFollower } from './follow-kernel.ts'

/** Ids of our own requests; those of breakpoints are positive, and the debugger's other ones start at -1. */
const ENTRY = -10
const MAPPED = -11
const MODULES = -12

export class KernelWatch {
  readonly #target: Target
  readonly #follower: KernelFollower
  /** Symbols have come, moved or gone. */
  readonly #changed: () => void
  #modulesStale = true

  constructor(target: Target, book: SymbolBook, linux: FollowerOptions, changed: () => void) {
    this.#target = target
    this.#follower = new KernelFollower(book, linux)
    this.#changed = changed
  }

  /** What to stop at now; it changes whenever `changed` is called. */
  requests(): StopRequest[] {
    const { stops, stopConditions } = this.#target.capabilities
    const requests: StopRequest[] = []
    const { entry } = this.#follower
    if (entry !== undefined)
      requests.push({ ...{ id: ENTRY, kind: 'code', space: 'linear', address: entry }, aside: () => this.#atEntry() })
    if (!stopConditions) return requests
    if (this.#follower.seeking && stops.has('control-register'))
      requests.push({
        ...{ id: MAPPED, kind: 'control-register', registers: [3] },
        condition: ({ index }) => this.#follower.seek(this.#machine, this.#machine.vcpus[index]),
        aside: () => this.#changed(),
      })
    for (const address of this.#follower.moduleChanges)
      requests.push({
        ...{ id: MODULES, kind: 'code', space: 'linear', address },
        aside: vcpu => this.#modulesChange(vcpu),
      })
    return requests
  }

  /** The guest has come to an address where nobody but us may have wanted to stop. */
  arrived(address: bigint): void {
    if (address === this.#follower.entry) this.#atEntry()
  }

  /** The guest stands still, and the user is about to look at it. */
  stopped(vcpu: number): void {
    const view = this.#machine.vcpus[vcpu]
    const located = this.#follower.locate(this.#machine, view)
    // Without asides nobody says when the list changes.
    const stale = this.#modulesStale || !this.#target.capabilities.stopConditions
    const moved = stale ? this.#follower.followModules(this.#machine, view) : false
    if (moved !== undefined) this.#modulesStale = false
    if (located || moved === true) this.#changed()
  }

  /** As {@link KernelFollower.isPlaced}. */
  isPlaced(address: bigint): boolean {
    return this.#follower.isPlaced(address)
  }

  /** The guest begins anew. */
  restarted(): void {
    this.#follower.forget()
    this.#modulesStale = true
    this.#changed()
  }

  get #machine(): MachineView {
    return this.#target.machine
  }

  #atEntry(): void {
    if (this.#follower.locateAtEntry(this.#machine)) this.#changed()
  }

  #modulesChange(vcpu: number): void {
    const changed = this.#follower.followModules(this.#machine, this.#machine.vcpus[vcpu])
    // One that is about to go is still in the list: it is looked for again.
    this.#modulesStale = true
    if (changed === true) this.#changed()
  }
}
