/**
 * What variables of DAP lead to at the current stop; references are valid until the guest goes on. What is behind one is
 * made when it is asked for, so that it shows what an assignment has just changed.
 */

import type { Address } from '../inspect/address.ts'

/** A variable as a client sees it. */
export interface VariableNode {
  readonly name: string
  readonly value: string
  /** The same in hexadecimal, for `valueFormat`; absent where `value` has nothing else to say. */
  hexValue?(): string
  readonly type?: string
  /** An expression that gives it. */
  readonly evaluateName?: string
  readonly address?: Address
  /** Where it lies itself, when that is memory. */
  readonly place?: { readonly address: Address; readonly size: number }
  readonly children?: VariableContainer
  /** Sets it to what a person wrote; absent where nothing can be set. */
  assign?(text: string): void
}

export interface VariableContainer {
  /** How many nodes there are, where that is known without making them. */
  readonly indexed?: number
  readonly named?: number
  nodes(start: number, count: number): readonly VariableNode[]
}

/** A container of nodes that are made all together. */
export function containerOf(nodes: () => readonly VariableNode[], named?: number): VariableContainer {
  return {
    ...(named === undefined ? {} : { named }),
    nodes: (start, count) => nodes().slice(start, start + count),
  }
}

export class VariableHandles {
  readonly #containers = new Map<number, VariableContainer>()
  readonly #references = new Map<string, number>()
  #next = 1

  /** @param path tells the container from all others of this stop; the same path gives the same reference. */
  reference(path: string, container: VariableContainer): number {
    const reference = this.#references.get(path) ?? this.#next++
    this.#references.set(path, reference)
    this.#containers.set(reference, container)
    return reference
  }

  get(reference: number): VariableContainer | undefined {
    return this.#containers.get(reference)
  }

  /** References are not used again, so that a late request for an old one fails instead of showing something else. */
  clear(): void {
    this.#containers.clear()
    this.#references.clear()
  }
}
