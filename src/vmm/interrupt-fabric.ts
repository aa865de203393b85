/** The bus between local APICs and I/O APIC: finds the processors that an interrupt message is for (SDM vol. 3, 11.6.2). */

import { widenDestination } from '../engine/apic/apic-destination.ts'
import type { ApicBus, InterruptMessage, Vcpu } from '../engine/processor.ts'
import type { EndOfInterruptSink } from './platform.ts'

export class InterruptFabric implements ApicBus {
  readonly vcpus: Vcpu[] = []
  ioApic: EndOfInterruptSink | undefined

  /** An IPI. */
  send(source: number, message: InterruptMessage): void {
    // SDM vol. 3, 11.6.1: INIT level de-assert only synchronizes arbitration IDs, and newer processors ignore it.
    if (message.deassert) return
    this.#arbitrate(message, this.#targets(source, message))
  }

  /** A message of the I/O APIC, or a message-signalled interrupt: its destination has 8 bits. */
  deliver(message: InterruptMessage): void {
    const wide = { ...message, destination: widenDestination(message.destination) }
    this.#arbitrate(
      wide,
      this.vcpus.filter(vcpu => vcpu.matches(wide)),
    )
  }

  /** The PIC's output rises: it is wired to LINT0 of every processor. */
  raiseLint0(): void {
    for (const vcpu of this.vcpus) vcpu.raisePin(0)
  }

  endOfInterrupt(vector: number): void {
    this.ioApic?.endOfInterrupt(vector)
  }

  /** A processor's own interrupt by the shorthand self does not come here. */
  #targets(source: number, message: InterruptMessage): Vcpu[] {
    const excluded = message.shorthand === 'others' ? source : undefined
    return this.vcpus.filter(vcpu => vcpu.index !== excluded && vcpu.matches(message))
  }

  /** SDM vol. 3, 11.6.2.4: lowest priority goes to one of the targets; the first of several equal ones, to be deterministic. */
  #arbitrate(message: InterruptMessage, targets: readonly Vcpu[]): void {
    if (message.mode !== 'lowest-priority') {
      for (const vcpu of targets) vcpu.acceptInterrupt(message)
      return
    }
    let chosen: Vcpu | undefined
    for (const vcpu of targets) if (chosen === undefined || vcpu.priority < chosen.priority) chosen = vcpu
    chosen?.acceptInterrupt(message)
  }
}
