/** An address translation as it is drawn: rows of steps from the guest-virtual address to the host frame or the fault. */

import type { TranslateBody } from '../../protocol/custom-requests.ts'
import { sizeText } from '../views/view-node.ts'

export interface TranslationModel {
  readonly title: string
  /** `4-level paging, CR3 0x102000, write with the rights of CPL 0` */
  readonly subtitle: string
  readonly steps: readonly Step[]
  readonly end: End
  /** All of it as sentences. */
  readonly text: string
}

/** Memory that can be watched, and stopped at when it changes. */
export interface Watched {
  /** `memoryReference` of DAP. */
  readonly memory: string
  /** Bytes. */
  readonly length: 4 | 8
  /** `PT[3] at phys:0x1018` */
  readonly name: string
}

/** A level of the guest's tables. */
export interface Step {
  /** `PML4` */
  readonly level: string
  /** `PML4[258]` */
  readonly name: string
  /** The entry; absent where it is in a register. */
  readonly entry?: Watched
  /** Where the entry lies, in words. */
  readonly place: string
  readonly value: string
  readonly bits: readonly Bit[]
  /** What this entry and those above allow. */
  readonly rights: readonly Right[]
  readonly ept?: Ept
}

export interface Bit {
  readonly name: string
  readonly meaning: string
}

export interface Right {
  readonly name: string
  readonly allowed: boolean
  /** The entry of this step took it away. */
  readonly lost: boolean
}

/** A guest-physical address through EPT. */
export interface Ept {
  readonly from: string
  /** Absent when it leads nowhere. */
  readonly to?: string
  readonly rights: string
  readonly steps: readonly {
    readonly name: string
    readonly entry: Watched
    readonly value: string
    readonly rights: string
  }[]
}

export type End =
  | {
      readonly kind: 'page'
      readonly gpa: string
      readonly hpa?: string
      /** What lies at the address. */
      readonly content: Watched
      readonly size: string
      readonly rights: readonly Right[]
      readonly ept?: Ept
      readonly notes: readonly string[]
      readonly fault?: string
    }
  | { readonly kind: 'fault'; readonly fault: string }

type Level = TranslateBody['levels'][number]
type EptBody = NonNullable<Level['ept']>
type Permissions = Level['accumulated']

// SDM vol. 3, tables 4-15 to 4-20.
const MEANINGS: Readonly<Record<string, string>> = {
  P: 'present',
  RW: 'writable',
  US: 'user may access',
  PWT: 'write-through',
  PCD: 'cache disabled',
  A: 'accessed',
  D: 'dirty',
  PS: 'maps a large page',
  PAT: 'page attribute table',
  G: 'global: stays in the TLB when CR3 changes',
  XD: 'execute disable',
}
const ALL: Permissions = { writable: true, user: true, executable: true }

export function translationModel(body: TranslateBody): TranslationModel {
  const { linear, cr3, paging, access, cpl, levels } = body
  const bytes = paging === '32-bit paging' ? 4 : 8
  const steps = levels.map((level, index) => stepOf(level, levels[index - 1]?.accumulated ?? ALL, bytes))
  const end = endOf(body)
  const subtitle = `${paging}, CR3 ${cr3}, ${access} with the rights of CPL ${cpl}`
  return { title: linear, subtitle, steps, end, text: describe(linear, subtitle, steps, end) }
}

/** In the debugger's expressions. @param memory `phys:0x…` or `hpa:0x…` */
export function watchExpression(memory: string, length: Watched['length']): string {
  const [, space, address] = /^(?:(phys|hpa):)?(0x[0-9a-f]+)$/i.exec(memory) ?? []
  if (address === undefined) throw new Error(`${memory} can not be watched: it lies in another address space`)
  const type = length === 4 ? 'u32' : 'u64'
  return `*(${type} *)${space === undefined ? address : `${space}(${address})`}`
}

function stepOf(
  { level, index, entryAddress, entry, flags, accumulated, register, ept }: Level,
  before: Permissions,
  bytes: Watched['length'],
): Step {
  const memory = `phys:${entryAddress}`
  const name = `${level}[${index}]`
  return {
    level,
    name,
    ...(register === undefined ? { entry: { memory, length: bytes, name: `${name} at ${memory}` } } : {}),
    place: register === undefined ? memory : `register ${register}`,
    value: entry,
    bits: flags === 'not present' ? [] : flags.split(' ').map(name => ({ name, meaning: MEANINGS[name] ?? name })),
    rights: flags === 'not present' ? [] : rightsOf(accumulated, before),
    ...(ept === undefined ? {} : { ept: eptOf(ept) }),
  }
}

function rightsOf(now: Permissions, before: Permissions): Right[] {
  return [
    { name: 'write', allowed: now.writable, lost: before.writable && !now.writable },
    { name: 'user', allowed: now.user, lost: before.user && !now.user },
    { name: 'execute', allowed: now.executable, lost: before.executable && !now.executable },
  ]
}

function eptOf({ gpa, steps, rights, hpa }: EptBody): Ept {
  return {
    from: gpa,
    ...(hpa === undefined ? {} : { to: hpa }),
    rights,
    steps: steps.map(({ level, index, entryAddress, entry, rights: own }) => {
      const [name, memory] = [`${level}[${index}]`, `hpa:${entryAddress}`]
      return { name, entry: { memory, length: 8, name: `EPT ${name} at ${memory}` }, value: entry, rights: own }
    }),
  }
}

function endOf({ page, fault, levels }: TranslateBody): End {
  const why = fault === undefined ? undefined : faultText(fault)
  if (page === undefined) return { kind: 'fault', fault: why ?? 'the translation ends here' }
  const { gpa, hpa, size, permissions, global, key, ept } = page
  return {
    kind: 'page',
    gpa,
    ...(hpa === undefined ? {} : { hpa }),
    content: { memory: `phys:${gpa}`, length: 8, name: `memory at phys:${gpa}` },
    size: sizeText(BigInt(size)),
    rights: rightsOf(permissions, levels.at(-1)?.accumulated ?? ALL),
    ...(ept === undefined ? {} : { ept: eptOf(ept) }),
    notes: [...(global ? ['global'] : []), ...(key === undefined ? [] : [`protection key ${key}`])],
    ...(why === undefined ? {} : { fault: why }),
  }
}

function faultText(fault: NonNullable<TranslateBody['fault']>): string {
  switch (fault.kind) {
    case 'page-fault':
      return `#PF, error code 0x${fault.errorCode.toString(16)}${fault.errorBits === '' ? '' : ` (${fault.errorBits})`}: ${fault.why}`
    case 'non-canonical':
      return `#GP, or #SS for the stack: not canonical, ${fault.why}`
    case 'ept-violation':
      return `EPT violation at ${fault.gpa}, qualification 0x${fault.qualification.toString(16)}: ${fault.why}`
    case 'ept-misconfiguration':
      return `EPT misconfiguration at ${fault.gpa}: ${fault.why}`
  }
}

/** For those who hear or copy it. */
function describe(linear: string, subtitle: string, steps: readonly Step[], end: End): string {
  const list = (rights: readonly Right[]): string =>
    rights
      .filter(({ allowed }) => allowed)
      .map(({ name }) => name)
      .join(', ') || 'only reads by the supervisor'
  const lines = steps.map(({ name, place, value, bits, rights, ept }) => {
    const allowed =
      bits.length === 0 ? 'not present' : `${bits.map(bit => bit.name).join(' ')}; allowed so far: ${list(rights)}`
    return `${name} at ${place}${eptWords(ept)} is ${value}: ${allowed}.`
  })
  const last =
    end.kind === 'fault'
      ? `${end.fault}.`
      : `Page of ${end.size}: guest-physical ${end.gpa}${eptWords(end.ept)}, ${end.hpa === undefined ? 'no host frame' : `host-physical ${end.hpa}`}.${end.fault === undefined ? '' : ` ${end.fault}.`}`
  return [`${linear}: ${subtitle}.`, ...lines, last].join('\n')
}

const eptWords = (ept: Ept | undefined): string =>
  ept === undefined ? '' : ` (EPT ${ept.rights}, ${ept.to === undefined ? 'not mapped' : `host ${ept.to}`})`
