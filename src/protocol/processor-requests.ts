/** The custom request about processors: each vCPU with its mode and registers, decoded. */

import type { RegisterNode } from '../inspect/register-node.ts'
import { Fields } from './fields.ts'
import type { OnWire } from './on-wire.ts'

/** All vCPUs at once, as a view of them wants it at each stop. */
export const PROCESSORS = 'ringside/processors'

export interface ProcessorsArguments {
  /** Also the groups that are wanted rarely: debug registers, MSRs, x87, vectors, virtualization. Default false. */
  readonly rare: boolean
}

export interface ProcessorsBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  /** Thread of the vCPU that stopped last. */
  readonly focus: number
  readonly processors: readonly ProcessorBody[]
}

export interface ProcessorBody {
  readonly threadId: number
  /** Its innermost frame, in which `setExpression` sets registers of this vCPU. */
  readonly frameId: number
  /** `64-bit, CPL 0, 4-level paging, IF=1` */
  readonly summary: string
  /** `64-bit`, `real`, ... */
  readonly mode: string
  readonly cpl: number
  readonly cr3: string
  /** Linear address of the next instruction. */
  readonly rip: string
  /** The function that it lies in. */
  readonly symbol?: string
  readonly groups: readonly RegisterGroupBody[]
}

export interface RegisterGroupBody {
  readonly name: string
  readonly registers: OnWire<readonly RegisterNode[]>
}

export function parseProcessorsArguments(value: unknown): ProcessorsArguments {
  return { rare: new Fields(PROCESSORS, value ?? {}).boolean('rare', false) }
}
