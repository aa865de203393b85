/** Requests of our own beside those of the Debug Adapter Protocol, with their arguments checked. */

import type { Address } from '../inspect/address.ts'
import type { GateDescriptor, SegmentDescriptor } from '../inspect/descriptor-tables.ts'
import type { InterruptControllers } from '../inspect/interrupt-controllers.ts'
import type { TaskState } from '../inspect/task-state.ts'
import type { AccessKind, Translation } from '../inspect/translation.ts'
import { parseAddress } from './address.ts'
import { ArgumentError, Fields } from './fields.ts'
import type { AreaBody, ExtentBody } from './memory-requests.ts'
import type { OnWire } from './on-wire.ts'

/** How a linear address becomes a host-physical one, step by step. */
export const TRANSLATE = 'ringside/translate'
/** Exits from the guest to the hypervisor: the last ones and totals. */
export const EXITS = 'ringside/exits'
/** What the guest told of itself by hypercall, with instruction counts. */
export const TIMELINE = 'ringside/timeline'
/** Asks the guest to give memory away, or to take it back. */
export const BALLOON = 'ringside/balloon'
/** Text for one of the guest's consoles. */
export const CONSOLE_INPUT = 'ringside/consoleInput'
/** An event: text from the guest's serial console, for a client that has a terminal for it (`console` of `launch`). */
export const CONSOLE_OUTPUT = 'ringside/consoleOutput'

/** What an address space maps, as ranges with permissions. */
export const MAPPINGS = 'ringside/mappings'
/** What EPT maps. */
export const EPT_MAPPINGS = 'ringside/eptMappings'
/** GDT, LDT, IDT or TSS, decoded. */
export const DESCRIPTOR_TABLE = 'ringside/descriptorTable'
/** Local APICs, I/O APIC and PIC. */
export const INTERRUPT_CONTROLLERS = 'ringside/interruptControllers'

/** Thread ids of DAP are vCPU numbers plus one: ids must be positive. */
const MOST_THREADS = 4096

export interface TranslateArguments {
  /** Default: the thread that stopped last. */
  readonly threadId?: number
  /** `0x…` or `cr3=0x…:0x…` (`address.ts`). */
  readonly address: Address
  /** The access whose permissions are checked; default `read`. */
  readonly access: AccessKind
}

/** Body of the response; bigints are strings such as `0x1000`. */
export type TranslateBody = OnWire<Translation>

export interface ExitsArguments {
  /** How many of the last exits; default 20, at most {@link MOST_RECENT_EXITS}. */
  readonly recent: number
  /** How many of the addresses with most exits; default 10. */
  readonly addresses: number
  /** Spans of equal length in which exits are counted; default 0, at most {@link MOST_SPANS}. */
  readonly spans: number
}

export interface ExitsBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly total: number
  /** Most frequent first. */
  readonly byReason: readonly { readonly reason: string; readonly count: number }[]
  /** Oldest first. */
  readonly recent: readonly ExitBody[]
  readonly byAddress: readonly {
    readonly address: string
    readonly symbol?: string
    /** `console.c:23` */
    readonly source?: string
    readonly count: number
  }[]
  /** The exits that are kept, at most {@link MOST_RECENT_EXITS}, by time; absent when there are none, or no spans. */
  readonly overTime?: {
    /** Instructions retired, from the oldest of these exits to now. */
    readonly first: number
    readonly last: number
    /** Exits in each span, oldest first. */
    readonly counts: readonly number[]
  }
}

export interface ExitBody {
  readonly instructions: number
  readonly vcpu: number
  readonly reason: string
  readonly detail: string
  readonly rip: string
  /** The function that RIP lies in. */
  readonly symbol?: string
  /** Guest-physical, for EPT exits. */
  readonly gpa?: string
}

export interface TimelineArguments {
  /** How many of the last events; default 100, at most {@link MOST_RECENT_EXITS}. */
  readonly recent: number
}

export interface TimelineBody {
  /** Instructions that the guest has retired. */
  readonly instructions: number
  readonly total: number
  /** Oldest first. */
  readonly events: readonly TimelineEventBody[]
}

export interface TimelineEventBody {
  readonly instructions: number
  readonly vcpu: number
  readonly cpl: number
  readonly rip: string
  readonly symbol?: string
  readonly name: string
  /** 64 bits each. */
  readonly values: readonly string[]
}

export interface MappingsArguments {
  /** Default: the thread that stopped last. */
  readonly threadId?: number
  /** Default: the current address space. */
  readonly cr3?: bigint
  /** Where to begin; default 0. */
  readonly start: bigint
  /** Ranges at most; default {@link USUAL_RANGES}, at most {@link MOST_RANGES}. */
  readonly limit: number
}

export interface MappingsBody {
  readonly ranges: readonly RangeBody[]
  /** `start` of the request for what follows; absent at the end. */
  readonly next?: string
}

export interface RangeBody {
  readonly start: string
  /** Behind the last byte: `0x10000000000000000` at the top. */
  readonly end: string
  /** Guest-physical address of the first byte; host-physical of {@link EPT_MAPPINGS}. */
  readonly target: string
  /** Is the target as contiguous as the range? */
  readonly contiguous: boolean
  /** `rwx`, then `u` or `s` (user, supervisor) and `g` (global) where that exists; a dash for what is missing. */
  readonly rights: string
  /** Bytes, smallest first. */
  readonly pageSizes: readonly number[]
  /** The symbol at the start. */
  readonly symbol?: string
  /** Where it leads, if that is not contiguous: the first pieces, how many more there are, and a digest of all. */
  readonly scatter?: { readonly extents: readonly ExtentBody[]; readonly omitted: number; readonly digest: number }
  /** What is there, at addresses of the range; absent when nothing is known. */
  readonly contents?: readonly AreaBody[]
  /** How many more there are. */
  readonly contentsOmitted?: number
}

export type EptMappingsArguments = Pick<MappingsArguments, 'start' | 'limit'>

export const DESCRIPTOR_TABLES = ['gdt', 'ldt', 'idt', 'tss'] as const

export interface DescriptorTableArguments {
  readonly threadId?: number
  readonly table: (typeof DESCRIPTOR_TABLES)[number]
  /** Entries to pass over; default 0. */
  readonly start: number
  /** Entries at most; default and most {@link MOST_DESCRIPTORS}. */
  readonly count: number
}

/** `base`, `limit` and the rest are absent when the processor has no such table. */
export type DescriptorTableBody = {
  readonly table: string
  readonly total: number
  readonly base?: string
  readonly limit?: number
  /** Bytes at its end that are not mapped in this address space. */
  readonly unreadable?: number
  readonly segments?: OnWire<readonly SegmentDescriptor[]>
  readonly gates?: readonly (OnWire<GateDescriptor> & {
    readonly symbol?: string
    /** `#PF`, of the vectors that are exceptions. */
    readonly exception?: string
  })[]
  readonly task?: OnWire<TaskState>
}

export type InterruptControllersBody = InterruptControllers

export interface ConsoleInputArguments {
  readonly text: string
  /** Default: `serial`. */
  readonly console?: 'serial' | 'virtio'
}

export interface BalloonArguments {
  /** Bytes that are to be in the balloon. Absent: only tell. */
  readonly size?: number
}

export interface BalloonBody {
  /** Bytes that the guest has given away. */
  readonly size: number
  /** Bytes that it is asked for. */
  readonly target: number
}

export interface ConsoleOutputBody {
  /** As the guest sent it: control sequences are for a terminal. */
  readonly text: string
}

export const MOST_RECENT_EXITS = 4096
const MOST_SPANS = 1000
export const MOST_RANGES = 4096
const USUAL_RANGES = 256
/** As many as the largest table has. */
export const MOST_DESCRIPTORS = 8192
/** Characters that are typed at once. */
const LONGEST_INPUT = 2 ** 20

export function parseTranslateArguments(value: unknown): TranslateArguments {
  const fields = new Fields(TRANSLATE, value)
  return {
    ...threadIn(fields),
    address: parseAddress(fields.string('address')),
    access: fields.oneOf('access', ['read', 'write', 'execute'], 'read'),
  }
}

export function parseExitsArguments(value: unknown): ExitsArguments {
  const fields = new Fields(EXITS, value ?? {})
  return {
    recent: fields.optionalInteger('recent', { least: 0, most: MOST_RECENT_EXITS }) ?? 20,
    addresses: fields.optionalInteger('addresses', { least: 0, most: MOST_RECENT_EXITS }) ?? 10,
    spans: fields.optionalInteger('spans', { least: 0, most: MOST_SPANS }) ?? 0,
  }
}

export function parseTimelineArguments(value: unknown): TimelineArguments {
  const fields = new Fields(TIMELINE, value ?? {})
  return { recent: fields.optionalInteger('recent', { least: 0, most: MOST_RECENT_EXITS }) ?? 100 }
}

export function parseMappingsArguments(value: unknown): MappingsArguments {
  const fields = new Fields(MAPPINGS, value ?? {})
  const cr3 = fields.optionalString('cr3')
  return {
    ...threadIn(fields),
    ...(cr3 === undefined ? {} : { cr3: plainAddress(fields, 'cr3', cr3) }),
    ...portionIn(fields),
  }
}

export function parseEptMappingsArguments(value: unknown): EptMappingsArguments {
  return portionIn(new Fields(EPT_MAPPINGS, value ?? {}))
}

export function parseDescriptorTableArguments(value: unknown): DescriptorTableArguments {
  const fields = new Fields(DESCRIPTOR_TABLE, value ?? {})
  return {
    ...threadIn(fields),
    table: fields.oneOf('table', DESCRIPTOR_TABLES, 'gdt'),
    start: fields.optionalInteger('start', { least: 0, most: MOST_DESCRIPTORS }) ?? 0,
    count: fields.optionalInteger('count', { least: 0, most: MOST_DESCRIPTORS }) ?? MOST_DESCRIPTORS,
  }
}

export function parseConsoleInputArguments(value: unknown): Required<ConsoleInputArguments> {
  const fields = new Fields(CONSOLE_INPUT, value)
  const text = fields.string('text')
  if (text.length > LONGEST_INPUT) throw new ArgumentError(`at most ${LONGEST_INPUT} characters are typed at once`)
  return { text, console: fields.oneOf('console', ['serial', 'virtio'], 'serial') }
}

export function parseBalloonArguments(value: unknown): BalloonArguments {
  const fields = new Fields(BALLOON, value ?? {})
  const size = fields.optionalInteger('size', { least: 0, most: Number.MAX_SAFE_INTEGER })
  return size === undefined ? {} : { size }
}

function threadIn(fields: Fields): { threadId?: number } {
  const threadId = fields.optionalInteger('threadId', { least: 1, most: MOST_THREADS })
  return threadId === undefined ? {} : { threadId }
}

function portionIn(fields: Fields): { start: bigint; limit: number } {
  return {
    start: plainAddress(fields, 'start', fields.optionalString('start') ?? '0'),
    limit: fields.optionalInteger('limit', { least: 1, most: MOST_RANGES }) ?? USUAL_RANGES,
  }
}

/** A number without an address space, which the request itself says. */
function plainAddress(fields: Fields, name: string, text: string): bigint {
  const address = parseAddress(text)
  if (address.space !== 'linear' || address.cr3 !== undefined) throw fields.wrong(name, 'a number such as "0x1000"')
  return address.address
}

/** The body of a {@link CONSOLE_OUTPUT} event. Throws `ArgumentError`. */
export function parseConsoleOutputBody(value: unknown): ConsoleOutputBody {
  return { text: new Fields(CONSOLE_OUTPUT, value).string('text') }
}
