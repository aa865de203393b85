/** Requests of our own about the machine: mappings, EPT, descriptor tables, interrupt controllers. */

import { linearAreas } from '../../debugger/linear-areas.ts'
import { AreaIndex } from '../../inspect/area-index.ts'
import { eptMappings } from '../../inspect/ept-mappings.ts'
import { interruptControllers } from '../../inspect/interrupt-controllers.ts'
import type { MappingPortion } from '../../inspect/mapping-ranges.ts'
import { mappings } from '../../inspect/mappings.ts'
import { physicalAreas } from '../../inspect/physical-areas.ts'
import { rangeContents } from '../../inspect/range-contents.ts'
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
import { PHYSICAL_MAP, type PhysicalMapBody } from '../../protocol/memory-requests.ts'
import { onWire } from '../../protocol/on-wire.ts'
import { EXCEPTIONS } from '../../x86/exceptions.ts'
import { vcpuOf } from '../frame-ids.ts'
import { RequestError, type RequestFamily } from '../request.ts'
import type { Session } from '../session.ts'

export const inspectionRequests: RequestFamily = {
  [MAPPINGS](session, args): MappingsBody {
    const { threadId, ...request } = parseMappingsArguments(args)
    const { target, symbols } = session.debugger
    const view = vcpu(session, threadId)
    const isPlaced = (address: bigint): boolean => session.debugger.isPlaced(address)
    const own = new AreaIndex(linearAreas(symbols, target.machine, view, isPlaced))
    const behind = new AreaIndex(physicalAreas(target.machine))
    return portionBody(mappings(target.machine, view, request), own, behind, address => symbols.describe(address))
  },

  [EPT_MAPPINGS](session, args): MappingsBody {
    const { start, limit } = parseEptMappingsArguments(args)
    const { machine } = session.debugger.target
    const portion = eptMappings(machine, start, limit)
    if (portion === undefined) throw new RequestError('no EPT is in use, or this target does not show it')
    return portionBody(portion, new AreaIndex(physicalAreas(machine)), undefined, () => undefined)
  },

  [PHYSICAL_MAP](session): PhysicalMapBody {
    return { areas: onWire(physicalAreas(session.debugger.target.machine)) }
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
        ...exceptionOf(gate.vector),
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
  own: AreaIndex,
  behind: AreaIndex | undefined,
  describe: (address: bigint) => string | undefined,
): MappingsBody {
  return {
    ranges: ranges.map(range => {
      const { contents, omitted } = rangeContents(range, own, behind)
      return {
        ...onWire(range),
        ...symbolOf(range.start, describe),
        ...(contents.length === 0 ? {} : { contents: onWire(contents) }),
        ...(omitted === 0 ? {} : { contentsOmitted: omitted }),
      }
    }),
    ...(next === undefined ? {} : { next: hex(next) }),
  }
}

function symbolOf(address: bigint, describe: (address: bigint) => string | undefined): { symbol?: string } {
  const symbol = describe(address)
  return symbol === undefined ? {} : { symbol }
}

function exceptionOf(wanted: number): { exception?: string } {
  const facts = EXCEPTIONS.find(({ vector }) => vector === wanted)
  return facts === undefined ? {} : { exception: facts.mnemonic }
}
