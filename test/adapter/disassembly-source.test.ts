/** Disassembly of the teaching kernel says from which lines of which sources its instructions are. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { launch } from '../../src/debugger/launch.ts'

const GUESTS = fileURLToPath(new URL('../../guests/', import.meta.url))
const KERNEL = `${GUESTS}tour/kernel.c`

async function started(args: object = {}): Promise<DapClient> {
  const client = DapClient.connect((input, output) => void serve(input, output, launch))
  await client.launch({ program: `${GUESTS}prebuilt/tour.elf`, memory: '64M', stopOnEntry: true, ...args })
  return client
}

async function disassembled(
  client: DapClient,
  of: string,
  args: object,
): Promise<DebugProtocol.DisassembledInstruction[]> {
  const { result } = await client.request<{ result: string }>('evaluate', {
    ...{ expression: `(u64)${of}`, context: 'watch', format: { hex: true } },
  })
  const { instructions } = await client.request<{ instructions: DebugProtocol.DisassembledInstruction[] }>(
    'disassemble',
    { memoryReference: result, ...args },
  )
  return instructions
}

const lineOf = (path: string, text: string): number =>
  readFileSync(path, 'utf8')
    .split('\n')
    .findIndex(line => line.includes(text)) + 1

test('an instruction has the line that it is of, and its source where that is another than before', async () => {
  const client = await started()
  const instructions = await disassembled(client, 'kernel_main', { instructionCount: 30, instructionOffset: -3 })
  expect(instructions[0].location?.path).toBeDefined()
  const [first] = instructions.filter(({ symbol }) => symbol === 'kernel_main')
  expect(first.line).toBe(lineOf(KERNEL, 'void kernel_main(void)'))
  const sources = instructions.flatMap(({ location }) => (location === undefined ? [] : [location.path]))
  expect(sources).toContain(KERNEL)
  expect(sources.every((path, i) => path !== sources[i - 1])).toBe(true)
  const lines = new Set(instructions.map(({ line }) => line))
  expect(lines).toContain(lineOf(KERNEL, 'page_table_root()'))
  await client.close()
})

test('assembly has its lines too', async () => {
  const client = await started()
  const [first] = await disassembled(client, 'system_call_entry', { instructionCount: 2 })
  const path = `${GUESTS}tour/interrupts.asm`
  const source = first.location?.path ?? ''
  expect(source.startsWith(GUESTS) && source.endsWith('.asm'), `${source} is ${path}'s neighbour`).toBe(true)
  expect(first.line).toBeGreaterThan(1)
  await client.close()
})

test('a physical address, and code whose source is not here, has none', async () => {
  const client = await started({ sourceMap: { '../tour': '/nowhere' } })
  const physical = await client.request<{ instructions: object[] }>('disassemble', {
    ...{ memoryReference: 'phys:0x100000', instructionCount: 2 },
  })
  const unseen = await disassembled(client, 'kernel_main', { instructionCount: 2 })
  for (const instruction of [...physical.instructions, ...unseen]) {
    expect(instruction).not.toHaveProperty('location')
    expect(instruction).not.toHaveProperty('line')
  }
  await client.close()
})
