import { describe, expect, test } from 'vitest'
import { isHostMessage, parsePageMessage, parseState } from '../../src/extension/translation/messages.ts'
import { translationModel, watchExpression } from '../../src/extension/translation/translation-model.ts'
import type { TranslateBody } from '../../src/protocol/custom-requests.ts'

type Level = TranslateBody['levels'][number]

const ept: NonNullable<Level['ept']> = {
  ...{ gpa: '0x102000', rights: 'rwx', misconfigured: false, hpa: '0x6108000', size: 4096 },
  steps: [
    { level: 'PT', table: '0x6104000', index: 258, entryAddress: '0x6104810', entry: '0x6108037', rights: 'rwx' },
  ],
}
const HEAD = { linear: '0x40000000', cr3: '0x102000', paging: '4-level paging', access: 'write', cpl: 3 } as const
const PML4: Level = {
  level: 'PML4',
  ...{ table: '0x102000', index: 0, entryAddress: '0x102000', entry: '0x103027', flags: 'P RW US A', ept },
  accumulated: { writable: true, user: true, executable: true },
}
const PT: Level = {
  level: 'PT',
  ...{ table: '0x111000', index: 0, entryAddress: '0x111000', entry: '0x10f025', flags: 'P US A' },
  accumulated: { writable: false, user: true, executable: true },
}
const READ_ONLY: TranslateBody = {
  ...HEAD,
  levels: [PML4, PT],
  fault: { kind: 'page-fault', errorCode: 7, errorBits: 'P W U', why: 'the page is read-only' },
}

describe('a translation', () => {
  test('shows at which step a right was lost', () => {
    const { steps } = translationModel(READ_ONLY)
    expect(steps[0].rights.every(({ allowed, lost }) => allowed && !lost)).toBe(true)
    expect(steps[1].rights.map(({ name, lost }) => [name, lost])).toEqual([
      ['write', true],
      ['user', false],
      ['execute', false],
    ])
  })

  test('names memory with its address space: entries are guest-physical, those of EPT host-physical', () => {
    const [first, second] = translationModel(READ_ONLY).steps
    expect(first.entry).toEqual({ memory: 'phys:0x102000', length: 8, name: 'PML4[0] at phys:0x102000' })
    expect(first.ept?.steps[0].entry).toEqual({
      memory: 'hpa:0x6104810',
      length: 8,
      name: 'EPT PT[258] at hpa:0x6104810',
    })
    expect(second.ept).toBeUndefined()
  })

  test('explains bits, and the fault in which it ends', () => {
    const { steps, end } = translationModel(READ_ONLY)
    expect(steps[0].bits.find(({ name }) => name === 'US')?.meaning).toBe('user may access')
    expect(end).toEqual({ kind: 'fault', fault: '#PF, error code 0x7 (P W U): the page is read-only' })
  })

  test('of an entry that is not present has no bits and no rights', () => {
    const { steps } = translationModel({ ...READ_ONLY, levels: [PML4, { ...PT, flags: 'not present' }] })
    expect([steps[1].bits, steps[1].rights]).toEqual([[], []])
  })

  test('leads to a page, and further through EPT', () => {
    const permissions = { writable: true, user: true, executable: false }
    const page = { gpa: '0x10f000', hpa: '0x6116000', size: 4096, permissions, global: true, key: 3, ept }
    const { end, text } = translationModel({ ...HEAD, levels: [PML4], page })
    expect(end).toMatchObject({ content: { memory: 'phys:0x10f000', length: 8 } })
    expect(end).toMatchObject({ kind: 'page', hpa: '0x6116000', size: '4 KiB', notes: ['global', 'protection key 3'] })
    expect(text).toBe(
      [
        '0x40000000: 4-level paging, CR3 0x102000, write with the rights of CPL 3.',
        'PML4[0] at phys:0x102000 (EPT rwx, host 0x6108000) is 0x103027: P RW US A; allowed so far: write, user, execute.',
        'Page of 4 KiB: guest-physical 0x10f000 (EPT rwx, host 0x6108000), host-physical 0x6116000.',
      ].join('\n'),
    )
  })

  test('may end in EPT, on a page that has no host frame', () => {
    const permissions = { writable: true, user: false, executable: true }
    const fault = { kind: 'ept-violation', gpa: '0x9000', qualification: 0x81, why: 'no host frame' } as const
    const { end } = translationModel({
      ...HEAD,
      levels: [PML4],
      page: { gpa: '0x9000', size: 4096, permissions, global: false },
      fault,
    })
    expect(end).toMatchObject({ kind: 'page', fault: 'EPT violation at 0x9000, qualification 0x81: no host frame' })
    expect(end).not.toHaveProperty('hpa')
  })

  test.each([
    [{ kind: 'non-canonical', why: 'bits differ' }, '#GP, or #SS for the stack: not canonical, bits differ'],
    [{ kind: 'ept-misconfiguration', gpa: '0x1', why: 'w without r' }, 'EPT misconfiguration at 0x1: w without r'],
  ] as const)('without a page ends in its fault: %j', (fault, text) => {
    expect(translationModel({ ...HEAD, levels: [], fault }).end).toEqual({ kind: 'fault', fault: text })
  })

  test('does not read PDPTE registers from memory', () => {
    const [step] = translationModel({ ...READ_ONLY, levels: [{ ...PT, level: 'PDPT', register: 'PDPTE0' }] }).steps
    expect(step.place).toBe('register PDPTE0')
    expect(step).not.toHaveProperty('entry')
  })

  test('has entries of four bytes in 32-bit paging, and is watched as the debugger writes it', () => {
    const { steps } = translationModel({ ...READ_ONLY, paging: '32-bit paging' })
    expect(steps.map(({ entry }) => entry?.length)).toEqual([4, 4])
    expect(watchExpression('phys:0x102000', 4)).toBe('*(u32 *)phys(0x102000)')
    expect(watchExpression('hpa:0x6104810', 8)).toBe('*(u64 *)hpa(0x6104810)')
    expect(watchExpression('0x1000', 8)).toBe('*(u64 *)0x1000')
    expect(() => watchExpression('cr3=0x5000:0x1000', 8)).toThrow(/can not be watched/)
  })
})

describe('messages of the page', () => {
  test.each([
    [{ type: 'ready' }],
    [{ type: 'translate', expression: '$rip', access: 'execute' }],
    [{ type: 'openMemory', memory: 'phys:0x1000' }],
    [{ type: 'openMemory', memory: 'cr3=0x5000:0x1000' }],
    [{ type: 'openCode', address: '0x1000' }],
    [{ type: 'watch', memory: 'hpa:0x1000', length: 8 }],
    [{ type: 'toggleStop', memory: 'phys:0x1000', length: 4, name: 'PD[0] at phys:0x1000' }],
  ])('%j is one', message => {
    expect(parsePageMessage({ ...message, more: 1 })).toEqual(message)
  })

  test.each([
    [undefined],
    [null],
    ['ready'],
    [[]],
    [{}],
    [{ type: 'exit' }],
    [{ type: 'translate', expression: '$rip' }],
    [{ type: 'translate', expression: '$rip', access: 'own' }],
    [{ type: 'translate', expression: 7, access: 'read' }],
    [{ type: 'translate', expression: 'x'.repeat(1001), access: 'read' }],
    [{ type: 'openMemory', memory: 'file:///etc/passwd' }],
    [{ type: 'openMemory', memory: '0x1 ' }],
    [{ type: 'openCode', address: 'workbench' }],
    [{ type: 'watch', memory: 'system("x")', length: 8 }],
    [{ type: 'watch', memory: 'phys:0x1000', length: 3 }],
    [{ type: 'toggleStop', memory: 'phys:0x1000', length: 8 }],
    [{ type: 'toggleStop', memory: 'phys:0x1000', length: 8, name: 'x'.repeat(201) }],
  ])('%j is none', message => {
    expect(parsePageMessage(message)).toBeUndefined()
  })

  test('to the page are told from what else comes to a window', () => {
    const model = translationModel(READ_ONLY)
    for (const message of [
      { type: 'stopped' },
      { type: 'ask', expression: '1', access: 'read' },
      { type: 'failed', message: 'x' },
      { type: 'refused', message: 'x' },
      { type: 'stops', stops: [{ memory: 'phys:0x1', length: 8, name: 'PT', hit: false }] },
      { type: 'stops', stops: [{ memory: 'phys:0x1', length: 8, name: 'PT', hit: true, said: 'changed' }] },
      { type: 'translated', model },
    ])
      expect(isHostMessage(message)).toBe(true)
    for (const message of [
      null,
      'x',
      {},
      { type: 'ask' },
      { type: 'failed' },
      { type: 'stops', stops: 7 },
      { type: 'stops', stops: [null] },
      { type: 'stops', stops: [{ memory: 'phys:0x1', length: 8, name: 'PT', hit: true, said: 7 }] },
      { type: 'translated', model: {} },
      { type: 'translated', model: null },
    ])
      expect(isHostMessage(message)).toBe(false)
  })

  test('a state of another version is not restored', () => {
    expect(parseState({ expression: '$rsp', access: 'write' })).toEqual({ expression: '$rsp', access: 'write' })
    for (const state of [undefined, 7, {}, { expression: '$rsp' }]) expect(parseState(state)).toBeUndefined()
  })
})
