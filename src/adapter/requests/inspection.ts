/** Requests of our own about the machine: mappings, EPT, descriptor tables, interrupt controllers. */

import { eptMappings } from '../../inspect/ept-mappings.ts'
import { interruptControllers } from '../../inspect/interrupt-controllers.ts'
import type { MappingPortion } from '../../inspect/mapping-ranges.ts'
import { mappings } from '../../inspect/mappings.ts'
import { globalDescriptors, interruptGates, localDescriptors } from '../../inspect/system-tables.ts'
import { taskState } from '../../inspect/task-state.ts'
import { hex } from '../../protocol/address.ts'
import {
  DESCRIPTOR_TABLE,
  type DescriptorTableBody,
  EPT_MAPPINGS,
  INTERRUPT_CONTROLLERS,
  type InterruptControllersBody,
  MAPPINGS,
  type MappingsBody,
  parseDescriptorTableArguments,
  parseEptMappingsArguments,
  parseMappingsArguments,
} from '../../protocol/custom-requests.ts'
import { onWire } from '../../protocol/on-wire.ts'
import { vcpuOf } from '../frame-ids.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const inspectionRequests: RequestFamily = {
  [MAPPINGS](session, args): MappingsBody {
    const { threadId, ...request } = parseMappingsArguments(args)
    const portion = mappings(session.debugger.target.machine, vcpu(session, threadId), request)
    return portionBody(portion, address => session.debugger.symbols.describe(address))
  },

  [EPT_MAPPINGS](session, args): MappingsBody {
    const { start, limit } = parseEptMappingsArguments(args)
    const portion = eptMappings(session.debugger.target.machine, start, limit)
    if (portion === undefined) throw new RequestError('no EPT is in use, or this target does not show it')
    return portionBody(portion, () => undefined)
  },

  [DESCRIPTOR_TABLE](session, args): DescriptorTableBody {
    const { threadId, table, start, count } = parseDescriptorTableArguments(args)
    const { machine } = session.debugger.target
    const view = vcpu(session, threadId)
    if (table === 'tss') {
      const task = taskState(machine, view)
      return { table, total: task === undefined ? 0 : 1, ...(task === undefined ? {} : { task: onWire(task) }) }
    }
    if (table === 'idt') {
      const { entries, base, ...rest } = interruptGates(machine, view)
      const gates = entries.slice(start, start + count).map(gate => ({
        ...onWire(gate),
        ...symbolOf(gate.offset, address => session.debugger.symbols.describe(address)),
      }))
      return { table, total: entries.length, base: hex(base), ...rest, gates }
    }
    const found = table === 'gdt' ? globalDescriptors(machine, view) : localDescriptors(machine, view)
    if (found === undefined) return { table, total: 0 }
    const { entries, base, ...rest } = found
    return {
      table,
      total: entries.length,
      base: hex(base),
      ...rest,
      segments: onWire(entries.slice(start, start + count)),
    }
  },

  [INTERRUPT_CONTROLLERS](session): InterruptControllersBody {
    return interruptControllers(session.debugger.target.machine)
  },
}

const vcpu = (session: Session, threadId: number | undefined) =>
  session.debugger.vcpu(threadId === undefined ? session.debugger.focus : vcpuOf(threadId))

function portionBody(
  { ranges, next }: MappingPortion,
  describe: (address: bigint) => string | undefined,
): MappingsBody {
  return {
    ranges: ranges.map(range => ({ ...onWire(range), ...symbolOf(range.start, describe) })),
    ...(next === undefined ? {} : { next: hex(next) }),
  }
}

function symbolOf(address: bigint, describe: (address: bigint) => string | undefined): { symbol?: string } {
  const symbol = describe(address)
  return symbol === undefined ? {} : { symbol }
}
