import { beforeAll, describe, expect, test } from 'vitest'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { SoftwareProcessor } from '../../src/engine/software-processor.ts'
import type { Mode } from './forms.ts'
import { CaseRecord, CODE_PAGE, WINDOW } from './record.ts'
import { EngineRunner, HOST_MEMORY_NEEDED } from './run-in-engine.ts'
import { baseOf, LDT_READ_ONLY, USER_CODE_32, USER_CODE_64, USER_DATA } from './segments.ts'

const RAX = 0
const RBX = 3
const RBP = 5
const [CS, SS, DS] = [0, 1, 2]
/** The LDT's execute-only segment of 32-bit code. */
const EXECUTE_ONLY = 2 * 8 + 7
/** A data segment that ends with the window. */
const LIMITED = 4 * 8 + 7
const NOT_CANONICAL = 0x0001_2345_0000_0000n
/** Of the HLT behind the instruction, which tells that it was completed. */
const COMPLETED = 'completed'

interface Found {
  readonly text: string
  readonly mode: Mode
  readonly code: readonly number[]
  readonly registers: Readonly<Record<number, bigint>>
  readonly segments?: Readonly<Record<number, number>>
  readonly ends: string
}

const FOUND: readonly Found[] = [
  {
    text: 'an SS override is ignored in 64-bit mode: paddusw mm6, ss:[rbx] of a bad address is #GP',
    ...{ mode: 64, code: [0x36, 0x0f, 0xdd, 0x33], registers: { [RBX]: NOT_CANONICAL }, ends: '#13' },
  },
  {
    text: 'a DS override is ignored in 64-bit mode: adc ds:[rbp], eax of a bad address is #SS',
    ...{ mode: 64, code: [0x3e, 0x11, 0x45, 0x00], registers: { [RBP]: NOT_CANONICAL }, ends: '#12' },
  },
  {
    text: 'fst dword [rbp] of a bad address is #SS (TypeScript executes it)',
    ...{ mode: 64, code: [0xd9, 0x55, 0x00], registers: { [RBP]: NOT_CANONICAL }, ends: '#12' },
  },
  {
    text: 'fst dword [rbx] of a bad address is #GP',
    ...{ mode: 64, code: [0xd9, 0x13], registers: { [RBX]: NOT_CANONICAL }, ends: '#13' },
  },
  {
    text: 'arpl [ebx], ax that has nothing to raise does not write, so the segment may be read-only',
    ...{ mode: 32, code: [0x63, 0x03], registers: { [RBX]: 0x800n, [RAX]: 0n }, segments: { [DS]: LDT_READ_ONLY } },
    ends: COMPLETED,
  },
  {
    text: 'arpl [ebx], ax that raises the RPL writes',
    ...{ mode: 32, code: [0x63, 0x03], registers: { [RBX]: 0x800n, [RAX]: 3n }, segments: { [DS]: LDT_READ_ONLY } },
    ends: '#13',
  },
  {
    text: 'clflush cs:[ebx] may be in an execute-only segment',
    ...{ mode: 32, code: [0x2e, 0x0f, 0xae, 0x3b], registers: { [RBX]: 0x800n }, segments: { [CS]: EXECUTE_ONLY } },
    ends: COMPLETED,
  },
  {
    text: 'lgdt ss:[ebx] in user mode is #GP, also beyond the limit of SS',
    ...{ mode: 32, code: [0x36, 0x0f, 0x01, 0x13], registers: { [RBX]: 0xc00n }, segments: { [SS]: LIMITED } },
    ends: '#13',
  },
]

describe('what random cases found', () => {
  let runner: EngineRunner
  beforeAll(() => {
    const memory = new HostMemory(Math.ceil(HOST_MEMORY_NEEDED / 65536) * 65536)
    runner = new EngineRunner(new SoftwareProcessor(memory, { model: parseCpuModel('max') }))
  })

  test.each(FOUND)('$text', ({ mode, code, registers, segments = {}, ends }) => {
    const record = new CaseRecord()
    const cs = segments[CS] ?? (mode === 64 ? USER_CODE_64 : USER_CODE_32)
    for (let index = 0; index < 4; index++) record.setSelector(index, USER_DATA)
    for (const [index, selector] of Object.entries(segments)) record.setSelector(Number(index), selector)
    record.setSelector(CS, cs)
    for (const [index, value] of Object.entries(registers)) record.setGpr(Number(index), value)
    record.rflags = 0x202
    record.fcw = 0x37f
    record.ftw = 0xff
    record.mxcsr = 0x1f80
    record.codeOffset = 0x100
    record.code = Uint8Array.from(code)
    record.rip = BigInt(CODE_PAGE + record.codeOffset - (mode === 64 ? 0 : baseOf(cs)))
    record.setWindowWord(WINDOW, 0n)
    const { vector, rip } = runner.execute(record)
    expect(rip === record.rip ? `#${vector}` : COMPLETED).toBe(ends)
  })
})
