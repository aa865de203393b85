/** The language server as its client sees it. */

import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { languageClient } from './language-client.ts'

const text = (value: unknown): string => JSON.stringify(value)

describe('definitions and references', () => {
  test('a local label of NASM belongs to the label above it', async () => {
    await using client = await languageClient({})
    const at = await client.open('a.asm', 'one:\n.loop:\n jmp .loop\ntwo:\n.loop:\n jmp .lo|op\n')
    expect(await client.request('textDocument/definition', 'a.asm', at)).toMatchObject([
      { range: { start: { line: 4 } } },
    ])
    const context = { includeDeclaration: true }
    expect(await client.request('textDocument/references', 'a.asm', at, { context })).toHaveLength(2)
  })

  test('a numeric label of GAS is the nearest one', async () => {
    await using client = await languageClient({})
    const at = await client.open('a.s', '1: nop\n jmp 1|f\n1: nop\n jmp 1b\n')
    expect(await client.request('textDocument/definition', 'a.s', at)).toMatchObject([
      { range: { start: { line: 2 } } },
    ])
  })

  test('a macro is found in the file that is included', async () => {
    await using client = await languageClient({ 'lib/macros.inc': '%macro stub 1\n push %1\n%endmacro\n' })
    const at = await client.open('a.asm', '%include "lib/macros.inc"\n st|ub 3\n')
    expect(await client.request('textDocument/definition', 'a.asm', at)).toMatchObject([
      { uri: client.uri('lib/macros.inc'), range: { start: { line: 0, character: 7 } } },
    ])
  })

  test('no file outside the folders is opened', async () => {
    await using client = await languageClient({})
    const at = await client.open('a.asm', '%include "../../../../../../etc/pass|wd"\n')
    expect(await client.request('textDocument/definition', 'a.asm', at)).toEqual([])
  })
})

describe('rename', () => {
  test('changes each use in each file', async () => {
    await using client = await languageClient({ 'b.asm': 'extern start\n call start\n' })
    const at = await client.open('a.asm', 'global start\nsta|rt:\n.x: jmp start.x\n')
    const edit = text(await client.request('textDocument/rename', 'a.asm', at, { newName: 'begin' }))
    expect(edit.match(/"newText":"begin"/g)).toHaveLength(4)
    expect(edit).toContain('"newText":"begin.x"')
    expect(edit).toContain(client.uri('b.asm'))
  })

  test.each([
    ['other', 'defined already'],
    ['rax', 'word of the assembler'],
    ['1x', "can't be the name"],
    ['.x', 'local'],
  ])('to %s is refused', async (newName, message) => {
    await using client = await languageClient({})
    const at = await client.open('a.asm', 'sta|rt: nop\nother: nop\n')
    await expect(client.request('textDocument/rename', 'a.asm', at, { newName })).rejects.toThrow(message)
  })
})

describe('call hierarchy', () => {
  const files = { 'b.asm': 'extern inner\nother:\n call inner\n.x: jmp inner\n jmp .x\n' }
  const source = 'global inner\nouter:\n call inn|er\n lea rax, [inner]\n call inner\n ret\ninner:\n jmp inner\n'
  const found = async (calls: 'incomingCalls' | 'outgoingCalls', from: string) => {
    await using client = await languageClient(files)
    const at = await client.open('a.asm', from)
    const items = await client.request('textDocument/prepareCallHierarchy', 'a.asm', at)
    const [item] = Array.isArray(items) ? items : []
    return { item, calls: await client.send(`callHierarchy/${calls}`, { item }) }
  }

  test('has the routines that call or jump there, in all files, and neither uses of the address nor jumps within', async () => {
    const { item, calls } = await found('incomingCalls', source)
    expect(item).toMatchObject({ name: 'inner', range: { start: { line: 6 } } })
    expect(calls).toMatchObject([
      { from: { name: 'outer' }, fromRanges: [{ start: { line: 2 } }, { start: { line: 4 } }] },
      { from: { name: 'other' }, fromRanges: [{ start: { line: 2 } }, { start: { line: 3 } }] },
    ])
  })

  test('has the routines that are called', async () => {
    const { calls } = await found('outgoingCalls', source.replace('inn|er', 'inner').replace('outer', 'out|er'))
    expect(calls).toMatchObject([
      { to: { name: 'inner' }, fromRanges: [{ start: { line: 2 } }, { start: { line: 4 } }] },
    ])
  })

  test('knows no file outside of the folders', async () => {
    await using client = await languageClient({})
    const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 1 } }
    const item = { name: 'root', kind: 12, uri: 'file:///etc/passwd', range, selectionRange: range }
    expect(await client.send('callHierarchy/outgoingCalls', { item })).toBeNull()
  })
})

describe('hover', () => {
  test.each([
    ['a.asm', ' iret|q\n', 'pops RIP, CS, RFLAGS'],
    ['a.asm', ' wrm|sr\n', 'ring 0 only'],
    ['a.s', ' movzb|l %al, %ebx\n', 'MOVZX'],
    ['a.asm', ' mov eax, cr0\n or eax, 0x8000|0001\n mov cr0, eax\n', 'PG (bit 31): paging'],
    ['a.s', ' or $0x2|0, %eax\n mov %eax, %cr4\n', 'PAE (bit 5)'],
    ['a.asm', ' mov ecx, 0xC0000080\n rdmsr\n or eax, 1 <<| 8\n wrmsr\n', 'LME (bit 8)'],
    ['a.asm', 'gdt: dq 0x00af9a000|000ffff\n', '64-bit code readable, DPL 0'],
    ['a.asm', '%define PG (1 << 31)\n mov ebx, P|G\n', '0x80000000'],
    ['a.asm', ' mov cr|3, rax\n', 'top page table'],
  ])('in %s: %j', async (name, source, expected) => {
    await using client = await languageClient({})
    const at = await client.open(name, source)
    expect(text(await client.request('textDocument/hover', name, at))).toContain(expected)
  })

  test('a value that something else replaces before it gets to CR0 means nothing', async () => {
    await using client = await languageClient({})
    const at = await client.open('a.asm', ' or eax, 0x8000|0001\n mov eax, ebx\n mov cr0, eax\n')
    expect(text(await client.request('textDocument/hover', 'a.asm', at))).not.toContain('paging')
  })
})

describe('completion', () => {
  test.each([
    ['a.asm', ' invl|\n', 'invlpg'],
    ['a.asm', ' mov r1|\n', 'r15'],
    ['a.s', ' mov %cr|\n', '%cr3'],
    ['a.asm', 'kernel_main: nop\n call ker|\n', 'kernel_main'],
    ['a.s', ' .glo|\n', '.globl'],
  ])('in %s: %j', async (name, source, label) => {
    await using client = await languageClient({})
    const at = await client.open(name, source)
    expect(await client.request('textDocument/completion', name, at)).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ label })]),
    })
  })
})

test('symbols of a file and of the workspace, and folding', async () => {
  await using client = await languageClient({ 'b.asm': 'elsewhere: nop\n' })
  await client.open('a.asm', 'start:\n.loop: nop\n jmp .loop\n%macro m 0\n nop\n%endmacro\n')
  const textDocument = { uri: client.uri('a.asm') }
  expect(await client.send('textDocument/documentSymbol', { textDocument })).toMatchObject([
    { name: 'start', children: [{ name: '.loop' }] },
    { name: 'm' },
  ])
  expect(await client.send('workspace/symbol', { query: 'elsew' })).toMatchObject([{ name: 'elsewhere' }])
  expect(await client.send('textDocument/foldingRange', { textDocument })).toContainEqual({ startLine: 3, endLine: 4 })
})

describe('diagnostics', () => {
  test('of our own, when no program may run', async () => {
    await using client = await languageClient({})
    await client.open('a.asm', 'a: nop\na: nop\n jmp missing\n frobnicate eax\n')
    const found = text(await client.diagnostics('a.asm'))
    expect(found).toContain('\\"a\\" is defined already, in line 1')
    expect(found).toContain('\\"missing\\" is not defined')
    expect(found).toContain('\\"frobnicate\\" is no instruction')
    expect(found).not.toContain('"source":"nasm"')
  })

  const options = { trusted: true, assembler: true, encodedBytes: true }
  test.skipIf(spawnSync('nasm', ['-v']).error !== undefined)('of nasm, and its bytes behind the code', async () => {
    await using client = await languageClient({}, options)
    await client.open('bad.asm', ' mov eax, [\n')
    expect(await client.diagnostics('bad.asm')).toMatchObject([{ source: 'nasm', range: { start: { line: 0 } } }])
    await client.open('a.asm', 'bits 64\nstart: mov rbp, rsp\n')
    expect(await client.diagnostics('a.asm')).toEqual([])
    const range = { start: { line: 0, character: 0 }, end: { line: 9, character: 0 } }
    const hints = await client.send('textDocument/inlayHint', { textDocument: { uri: client.uri('a.asm') }, range })
    expect(hints).toMatchObject([{ label: '0000: 48 89 e5', position: { line: 1 } }])
  })

  test.skipIf(spawnSync('as', ['--version']).error !== undefined)('of as', async () => {
    await using client = await languageClient({}, options)
    await client.open('a.s', ' nop\n mov %rax\n')
    expect(await client.diagnostics('a.s')).toMatchObject([{ source: 'as', range: { start: { line: 1 } } }])
  })
})

test('edits are followed', async () => {
  await using client = await languageClient({})
  await client.open('a.asm', 'one: nop\n jmp one\n')
  const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } }
  const textDocument = { uri: client.uri('a.asm'), version: 2 }
  await client.notify('textDocument/didChange', { textDocument, contentChanges: [{ range, text: '; above\n' }] })
  expect(await client.request('textDocument/definition', 'a.asm', { line: 2, character: 6 })).toMatchObject([
    { range: { start: { line: 1 } } },
  ])
})

test('a source that was closed is known as it is on disk', async () => {
  await using client = await languageClient({ 'b.asm': 'elsewhere: nop\n' })
  await client.open('b.asm', 'elsewhere: nop\nunsaved: nop\n')
  expect(await client.send('workspace/symbol', { query: 'e' })).toHaveLength(2)
  await client.notify('textDocument/didClose', { textDocument: { uri: client.uri('b.asm') } })
  expect(await client.send('workspace/symbol', { query: 'e' })).toMatchObject([{ name: 'elsewhere' }])
})
