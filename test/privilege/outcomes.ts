/** What guests/rules/privilege.asm sends, case by case, and as lines of text. */

const FORMS = 7
const INSTRUCTIONS = [
  ...[
    'mov ds',
    'mov ss',
    'mov fs',
    'lldt',
    'ltr',
    'lar',
    'lsl',
    'verr',
    'verw',
    'far jmp',
    'far call',
    'retf',
    'iretq',
  ],
] as const
export type SweptInstruction = (typeof INSTRUCTIONS)[number]
/** Vector of the interrupt behind an instruction that did not fault, and of the one where transfers lead. */
const [NONE, LANDED] = [0x30, 0x31]

/** One of the 256 access bytes of a descriptor under one instruction. */
export interface DescriptorCase {
  /** Number of the descriptor's other bits: `forms` of the source. */
  readonly form: number
  readonly instruction: SweptInstruction
  readonly ring: 0 | 3
  readonly rpl: 0 | 3
  readonly access: number
}

export interface DescriptorOutcome {
  readonly vector: number
  readonly error: number
  /** ZF at the end. */
  readonly zero: boolean
  readonly cs: number
  readonly ss: number
  /** Answer of LAR, without the access byte, and LSL. */
  readonly ecx: number
  /** Bits of the access byte that changed. */
  readonly changed: number
}

const hex = (value: number): string => value.toString(16)

// --- pages

const PAGE_RECORD = 4
const ACCESSES = [
  'read in ring 0',
  'write in ring 0',
  'fetch in ring 0',
  'read in ring 3',
  'write in ring 3',
  'fetch in ring 3',
]
const MODES = 16
const ENTRIES = 16
const LEVELS = ['page table entry', 'page directory entry']
const PAGE_BYTES = MODES * LEVELS.length * ENTRIES * ACCESSES.length * PAGE_RECORD

/** A line for each mode, level and access: what the sixteen combinations of XD, U/S, R/W and P give. */
export function pageLines(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const lines: string[] = []
  const names = ['WP', 'SMEP', 'SMAP', 'AC']
  for (let mode = 0; mode < MODES; mode++)
    for (const [level, levelName] of LEVELS.entries())
      for (const [access, accessName] of ACCESSES.entries()) {
        const outcomes = Array.from({ length: ENTRIES }, (_, entry) => {
          const at = (((mode * LEVELS.length + level) * ENTRIES + entry) * ACCESSES.length + access) * PAGE_RECORD
          const vector = bytes[at]
          const flags = (bytes[at + 1] & 0x20 ? 'A' : '') + (bytes[at + 1] & 0x40 ? 'D' : '')
          return `${vector === NONE ? 'ok' : `#${vector}(${hex(view.getUint16(at + 2, true))})`}${flags}`
        })
        const on = names.filter((_, bit) => mode & (1 << bit)).join('+') || 'none'
        lines.push(`${on}, ${levelName}, ${accessName}: ${outcomes.join(' ')}`)
      }
  return lines
}

// --- descriptors

/** Doublewords: count, ECX, CS and SS, vector, access byte and error code, ZF. */
const RUN_BYTES = 20

/** A line for each form, instruction, ring and RPL: ranges of access bytes that end alike. */
export function descriptorLines(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset + PAGE_BYTES, bytes.length - PAGE_BYTES)
  let at = 0
  return sweeps().map(sweep => {
    const runs: string[] = []
    for (let access = 0; access < 256; at += RUN_BYTES) {
      const count = view.getUint32(at, true)
      const outcome: DescriptorOutcome = {
        ecx: view.getUint32(at + 4, true),
        cs: view.getUint16(at + 8, true),
        ss: view.getUint16(at + 10, true),
        vector: view.getUint8(at + 12),
        changed: view.getUint8(at + 13),
        error: view.getUint16(at + 14, true),
        zero: view.getUint32(at + 16, true) !== 0,
      }
      runs.push(`${hex(access)}-${hex(access + count - 1)} ${outcomeText(outcome)}`)
      access += count
    }
    return `${sweepName(sweep)}: ${runs.join('; ')}`
  })
}

type Sweep = Omit<DescriptorCase, 'access'>

/** In the order of the source's loops. */
function sweeps(): Sweep[] {
  const list: Sweep[] = []
  for (let form = 0; form < FORMS; form++)
    for (const instruction of INSTRUCTIONS)
      for (const ring of [0, 3] as const) for (const rpl of [0, 3] as const) list.push({ form, instruction, ring, rpl })
  return list
}

const sweepName = ({ form, instruction, ring, rpl }: Sweep): string =>
  `form ${form}, ${instruction} in ring ${ring} with RPL ${rpl}`

const outcomeText = ({ vector, error, zero, cs, ss, ecx, changed }: DescriptorOutcome): string =>
  [
    vector === NONE ? 'ok' : vector === LANDED ? 'there' : `#${vector}(${hex(error)})`,
    `cs=${hex(cs)}`,
    `ss=${hex(ss)}`,
    ...(zero ? ['zf'] : []),
    ...(ecx === 0 ? [] : [`ecx=${hex(ecx)}`]),
    ...(changed === 0 ? [] : [`changed=${hex(changed)}`]),
  ].join(' ')

/** The cases of lines that {@link descriptorLines} made. */
export function descriptorCases(lines: readonly string[]): { of: DescriptorCase; outcome: DescriptorOutcome }[] {
  const bySweep = sweeps()
  return lines.flatMap((line, index) =>
    line
      .slice(line.indexOf(': ') + 2)
      .split('; ')
      .flatMap(run => {
        const [range, ...words] = run.split(' ')
        const [first, last] = range.split('-').map(text => Number.parseInt(text, 16))
        const outcome = parseOutcome(words)
        return Array.from({ length: last - first + 1 }, (_, i) => ({
          of: { ...bySweep[index], access: first + i },
          outcome,
        }))
      }),
  )
}

function parseOutcome([end, ...words]: readonly string[]): DescriptorOutcome {
  const field = (name: string) => {
    const word = words.find(each => each.startsWith(`${name}=`))
    return word === undefined ? 0 : Number.parseInt(word.slice(name.length + 1), 16)
  }
  const fault = /^#(\d+)\((\w+)\)$/.exec(end)
  return {
    vector: fault === null ? (end === 'ok' ? NONE : LANDED) : Number(fault[1]),
    error: fault === null ? 0 : Number.parseInt(fault[2], 16),
    zero: words.includes('zf'),
    ...{ cs: field('cs'), ss: field('ss'), ecx: field('ecx'), changed: field('changed') },
  }
}

export const describeCase = ({ access, ...sweep }: DescriptorCase, outcome: DescriptorOutcome): string =>
  `${sweepName(sweep)}, access byte ${hex(access)}: ${outcomeText(outcome)}`
