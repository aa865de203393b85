/** Variable references of the current stop (DAP: they are valid until the guest goes on). */

import type { RegisterNode } from '../inspect/register-node.ts'

export class VariableHandles {
  readonly #nodes = new Map<number, readonly RegisterNode[]>()
  #next = 1

  create(nodes: readonly RegisterNode[]): number {
    const reference = this.#next++
    this.#nodes.set(reference, nodes)
    return reference
  }

  get(reference: number): readonly RegisterNode[] | undefined {
    return this.#nodes.get(reference)
  }

  /** References are not used again, so that a late request for an old one fails instead of showing something else. */
  clear(): void {
    this.#nodes.clear()
  }
}
