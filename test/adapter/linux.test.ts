/**
 * Debian's kernel under the adapter: stopped at a function of its own and at one of a module, looked into, and let go
 * on to its shell.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DapClient } from '../../scripts/dap-client.ts'
import type { ExitsBody, TranslateBody } from '../../src/protocol/custom-requests.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../linux/initramfs.ts'
import { findKernel } from '../linux/kernel.ts'
import { startAdapter } from '../support/adapter-process.ts'

const kernel = findKernel()
const BOOT_LIMIT = 240_000
/** The first of its callers is the shell of the initramfs: by then user space has page tables of its own. */
const FUNCTION = 'vfs_read'
/** A module of the kernel's package, and its function that `ip link add` calls for each new interface. */
const MODULE = 'dummy'
const MODULE_FUNCTION = 'dummy_setup'
const CMDLINE = 'console=ttyS0 nokaslr quiet'
const FOUR_LEVELS = ['PML4', 'PDPT', 'PD', 'PT']

if (kernel === undefined || !existsSync(BUSYBOX)) {
  test.skip("debugging Linux needs Debian's kernel (npm run fetch-kernel) and the package busybox-static")
} else {
  const { image, modules } = kernel
  const module = join(modules, 'drivers', 'net', `${MODULE}.ko`)
  let scratch: string
  let initrd: string
  let client: DapClient

  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-dap-'))
    initrd = join(scratch, 'initramfs.gz')
    client = startAdapter()
  })
  afterEach(async () => {
    await client.close()
    rmSync(scratch, { recursive: true })
  })

  test(
    'a stock kernel stops at a function by name, shows itself, steps and goes on to its shell',
    async () => {
      writeFileSync(initrd, buildInitramfs())
      await client.launch({ program: image, initrd, cmdline: CMDLINE, memory: '256M', stopOnEntry: true })
      const pending = await setFunctionBreakpoints(client, [FUNCTION])
      expect(pending).toMatchObject([{ verified: false, message: expect.stringContaining('is tried again') }])
      await client.request('configurationDone')
      expect(await client.event('stopped')).toMatchObject({ reason: 'entry' })

      await client.request('continue', { threadId: 1 })
      const stopped = await client.event<DebugProtocol.StoppedEvent['body']>('stopped', () => true, BOOT_LIMIT)
      expect(stopped).toMatchObject({ reason: 'breakpoint', threadId: 1, hitBreakpointIds: [pending[0].id] })
      expect(await client.event('breakpoint')).toMatchObject({
        reason: 'changed',
        breakpoint: { id: pending[0].id, verified: true },
      })

      const frame = await topFrame(client)
      expect(frame.name).toBe(FUNCTION)
      const rip = frame.instructionPointerReference ?? ''
      expect(BigInt(rip)).toBeGreaterThan(0xffff_ffff_8100_0000n)
      await checkRegisters(client, `${rip} <${FUNCTION}>`)
      await checkTranslations(client, rip)
      expect((await checkCode(client, rip)).symbol).toBe(FUNCTION)
      await checkStep(client, rip)
      expect((await topFrame(client)).name).toMatch(new RegExp(`^${FUNCTION}\\+0x`))

      await setFunctionBreakpoints(client, [])
      await checkUserSpace(client)
      await client.request('continue', { threadId: 1 })
      await client.consoleShows(SHELL_PROMPT, BOOT_LIMIT)
      await type(client, 'echo $((6 * 7)) is the answer')
      await client.consoleShows('42 is the answer', BOOT_LIMIT)

      const exits = await client.request<ExitsBody>('ringside/exits', { recent: 5 })
      const reasons = exits.byReason.map(({ reason }) => reason)
      expect(reasons).toEqual(expect.arrayContaining(['io', 'ept-violation', 'hlt']))
      expect(exits.recent).toHaveLength(5)
      expect(exits.recent.some(exit => exit.symbol !== undefined)).toBe(true)

      await powerOff(client)
    },
    2 * BOOT_LIMIT,
  )

  if (!existsSync(module)) {
    test.skip(`the test of a module's code needs drivers/net/${MODULE}.ko of Debian's kernel (npm run fetch-kernel)`)
  } else {
    test(
      'a function of a loaded module is reached through four guest levels, each through EPT, to a host frame',
      async () => {
        const path = `${MODULE}.ko`
        writeFileSync(initrd, buildInitramfs([{ kind: 'file', path, data: readFileSync(module), executable: false }]))
        await client.launch({ program: image, initrd, cmdline: CMDLINE, memory: '256M' })
        await client.request('configurationDone')
        await client.consoleShows(SHELL_PROMPT, BOOT_LIMIT)
        const rip = await loadModule(client)

        await setInstructionBreakpoints(client, [rip])
        await type(client, 'ip link add dummy9 type dummy; echo mtu $(cat /sys/class/net/dummy9/mtu)')
        expect(await client.event('stopped', () => true, BOOT_LIMIT)).toMatchObject({
          reason: 'breakpoint',
          threadId: 1,
        })
        expect((await topFrame(client)).instructionPointerReference).toBe(rip)
        await checkRegisters(client, rip)
        await checkTranslation(client, rip, 'execute', FOUR_LEVELS)
        await checkCode(client, rip)
        await checkStep(client, rip)

        await setInstructionBreakpoints(client, [])
        await client.request('continue', { threadId: 1 })
        await client.consoleShows('mtu 1500', BOOT_LIMIT)
        await powerOff(client)
      },
      BOOT_LIMIT,
    )
  }
}

/** Loads the module without an interface of its own; where its function then lies, as the kernel says. */
async function loadModule(client: DapClient): Promise<string> {
  await type(client, `echo 0 > /proc/sys/kernel/kptr_restrict; insmod /${MODULE}.ko numdummies=0`)
  await type(client, `grep " ${MODULE_FUNCTION}" /proc/kallsyms`)
  await client.consoleShows(`[${MODULE}]`, BOOT_LIMIT)
  const line = new RegExp(`([0-9a-f]{16}) t ${MODULE_FUNCTION}\\s+\\[${MODULE}\\]`).exec(client.output.stdout)
  expect(line).not.toBeNull()
  return `0x${line?.[1]}`
}

/** A line for the shell. */
async function type(client: DapClient, line: string): Promise<void> {
  await client.request('ringside/consoleInput', { text: `${line}\n` })
}

async function powerOff(client: DapClient): Promise<void> {
  await type(client, 'poweroff -f')
  expect(await client.event('exited', () => true, BOOT_LIMIT)).toEqual({ exitCode: 0 })
  await client.event('terminated')
}

async function setInstructionBreakpoints(client: DapClient, addresses: readonly string[]): Promise<void> {
  const breakpoints = addresses.map(instructionReference => ({ instructionReference }))
  await client.request('setInstructionBreakpoints', { breakpoints })
}

async function setFunctionBreakpoints(
  client: DapClient,
  names: readonly string[],
): Promise<DebugProtocol.Breakpoint[]> {
  const breakpoints = names.map(name => ({ name }))
  return (await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', { breakpoints }))
    .breakpoints
}

async function topFrame(client: DapClient): Promise<DebugProtocol.StackFrame> {
  const { stackFrames } = await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
    threadId: 1,
  })
  return stackFrames[0]
}

async function checkRegisters(client: DapClient, shownRip: string): Promise<void> {
  const { scopes } = await client.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId: 1 })
  const registers = new Map<string, string>()
  for (const { variablesReference } of scopes) {
    const { variables } = await client.request<{ variables: DebugProtocol.Variable[] }>('variables', {
      variablesReference,
    })
    for (const { name, value } of variables) registers.set(name, value)
  }
  expect(registers.get('summary')).toMatch(/^64-bit, CPL 0, 4-level paging, (PCID \d+, )?IF=1$/)
  expect(registers.get('CPL')).toBe('0')
  expect(registers.get('rip')).toBe(shownRip)
  expect(registers.get('cr0')).toMatch(/\[PE .*WP .*PG\]$/)
  expect(registers.get('cr4')).toMatch(/\[.*PAE .*PGE .*\]$/)
  expect(registers.get('efer')).toMatch(/\[SCE LME LMA NXE\]$/)
  const cr3 = await evaluate(client, '$cr3.BASE')
  expect(cr3).toBeGreaterThan(0n)
  expect(registers.get('cr3')).toContain(`BASE=0x${cr3.toString(16)}`)
}

async function evaluate(client: DapClient, expression: string): Promise<bigint> {
  const { result } = await client.request<{ result: string }>('evaluate', { expression, frameId: 1, context: 'watch' })
  return BigInt(result.split(' ')[0])
}

/** The kernel's text is mapped by 2 MiB pages, its stack (CONFIG_VMAP_STACK) by 4 KiB pages: three levels and four. */
async function checkTranslations(client: DapClient, rip: string): Promise<void> {
  await checkTranslation(client, rip, 'execute', ['PML4', 'PDPT', 'PD'])
  const stack = `0x${(await evaluate(client, '$rsp')).toString(16)}`
  await checkTranslation(client, stack, 'write', FOUR_LEVELS)

  const nowhere = await client.request<TranslateBody>('ringside/translate', { address: '0x10' })
  expect(nowhere.fault).toMatchObject({ kind: 'page-fault', errorCode: 0 })
  const readOnly = await client.request<TranslateBody>('ringside/translate', { address: rip, access: 'write' })
  expect(readOnly.fault).toMatchObject({ kind: 'page-fault', errorCode: 3, errorBits: 'P W' })
}

async function checkTranslation(client: DapClient, address: string, access: string, levels: string[]): Promise<void> {
  const translation = await client.request<TranslateBody>('ringside/translate', { address, access })
  expect(translation.fault).toBeUndefined()
  expect(translation.paging).toBe('4-level paging')
  expect(translation.levels.map(level => level.level)).toEqual(levels)
  expect(BigInt(translation.levels[0].table)).toBe(await evaluate(client, '$cr3.BASE'))
  // Each level's entry was read through EPT: four steps to a host frame, where the same entry lies.
  for (const { entry, ept } of translation.levels) {
    expect(ept?.steps.map(step => step.level)).toEqual(FOUR_LEVELS)
    const [low] = await readMemory(client, `hpa:${ept?.hpa}`, 8)
    expect(low).toBe(Number(BigInt(entry) & 0xffn))
  }
  const { page } = translation
  expect(page?.ept?.steps.map(step => step.level)).toEqual(FOUR_LEVELS)
  const linear = await readMemory(client, address, 16)
  expect(linear).toHaveLength(16)
  expect(await readMemory(client, `phys:${page?.gpa}`, 16)).toEqual(linear)
  expect(await readMemory(client, `hpa:${page?.hpa}`, 16)).toEqual(linear)
}

async function readMemory(client: DapClient, memoryReference: string, count: number): Promise<number[]> {
  const { data } = await client.request<{ data: string }>('readMemory', { memoryReference, count })
  return [...Buffer.from(data, 'base64')]
}

async function disassemble(
  client: DapClient,
  memoryReference: string,
  instructionOffset: number,
  instructionCount: number,
): Promise<DebugProtocol.DisassembledInstruction[]> {
  const args = { memoryReference, instructionOffset, instructionCount }
  return (await client.request<{ instructions: DebugProtocol.DisassembledInstruction[] }>('disassemble', args))
    .instructions
}

/**
 * Where the system call returns to, the program's own page tables hold: its code is mapped by 4 KiB pages, through
 * four levels.
 */
async function checkUserSpace(client: DapClient): Promise<void> {
  // The user's registers lie at the top of the kernel stack of 16 KiB; RIP is the fifth word from the end (struct pt_regs).
  const rip = `0x${(await evaluate(client, '*(($rsp | 0x3fff) + 1 - 40)')).toString(16)}`
  await setInstructionBreakpoints(client, [rip])
  await client.request('continue', { threadId: 1 })
  expect(await client.event('stopped', () => true, BOOT_LIMIT)).toMatchObject({ reason: 'breakpoint' })
  expect((await topFrame(client)).instructionPointerReference).toBe(rip)
  expect(await evaluate(client, '$cpl')).toBe(3n)
  await checkTranslation(client, rip, 'execute', FOUR_LEVELS)
  await setInstructionBreakpoints(client, [])
}

/** The disassembly is that of the bytes in memory, and the same scrolled back from further on. Its first instruction. */
async function checkCode(client: DapClient, rip: string): Promise<DebugProtocol.DisassembledInstruction> {
  const code = await disassemble(client, rip, 0, 12)
  expect(code[0].address).toBe(rip)
  const bytes = code.flatMap(({ instructionBytes = '' }) =>
    instructionBytes.split(' ').map(byte => Number.parseInt(byte, 16)),
  )
  expect(bytes).toEqual(await readMemory(client, rip, bytes.length))
  const back = await disassemble(client, code[8].address, -8, 12)
  expect(back.map(instruction => instruction.instruction)).toEqual(code.map(instruction => instruction.instruction))
  return code[0]
}

async function checkStep(client: DapClient, rip: string): Promise<void> {
  const [, second, third] = await disassemble(client, rip, 0, 3)
  for (const expected of [second, third]) {
    await client.request('stepIn', { threadId: 1, granularity: 'instruction' })
    expect(await client.event('stopped')).toMatchObject({ reason: 'step' })
    expect((await topFrame(client)).instructionPointerReference).toBe(expected.address)
  }
}
