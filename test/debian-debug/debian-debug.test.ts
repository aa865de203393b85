/**
 * Debian's kernel, randomised as it is by default, debugged over DAP with the symbols of its `-dbg` package: from before
 * it is decompressed, through system calls and interrupts, down to a user program's source. A script of its own (`npm run
 * test:debian-debug`), because the package has 283 MB; what is fetched is kept in the cache of the Linux tests.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DapClient } from '../../scripts/dap-client.ts'
import type { TranslateBody } from '../../src/protocol/custom-requests.ts'
import type { StatusBody } from '../../src/protocol/status-request.ts'
import { findDebugKernel } from '../linux/debug-kernel.ts'
import { BUSYBOX, buildInitramfs, SHELL_PROMPT } from '../linux/initramfs.ts'
import { findKernel } from '../linux/kernel.ts'
import { startAdapter } from '../support/adapter-process.ts'
import { buildReader, READER_SOURCE, readerLine } from './reader.ts'

const kernel = findKernel()
const vmlinux = findDebugKernel()
const LIMIT = 240_000
/** Where Debian's build had its sources, as the debugging information names them. */
const BUILT_IN = 'debian/build/build_amd64_none_cloud-amd64'
const LARGE_PAGE = 0x20_0000n
const MODULE = 'dummy'
const FOUR_LEVELS = ['PML4', 'PDPT', 'PD', 'PT']

if (kernel === undefined || vmlinux === undefined || !existsSync(BUSYBOX)) {
  const needs = "Debian's kernel, its vmlinux (npm run fetch-debug-kernel, 283 MB) and the package busybox-static"
  console.log(`skipped: debugging Debian's kernel by its source needs ${needs}`)
  test.skip(`needs ${needs}`)
} else {
  const { image, modules } = kernel
  const scratch = mkdtempSync(join(tmpdir(), 'ringside-debian-'))
  const sources = join(scratch, 'linux')
  const module = join(modules, 'drivers', 'net', `${MODULE}.ko`)
  let client: DapClient

  beforeAll(async () => {
    // The sources themselves do not matter: that they are found does.
    for (const file of ['init/main.c', 'fs/read_write.c']) {
      mkdirSync(dirname(join(sources, file)), { recursive: true })
      writeFileSync(join(sources, file), `/* stands for ${file} */\n`)
    }
    const reader = buildReader(scratch)
    const initrd = join(scratch, 'initramfs.gz')
    writeFileSync(
      initrd,
      buildInitramfs([
        { kind: 'file', path: 'reader', data: readFileSync(reader), executable: true },
        { kind: 'file', path: `${MODULE}.ko`, data: readFileSync(module), executable: false },
      ]),
    )
    client = startAdapter()
    await client.launch({
      ...{ program: image, initrd, cmdline: 'console=ttyS0', memory: '256M', stopOnEntry: true },
      ...{ symbols: [vmlinux, reader], moduleSymbols: modules, sourceMap: { [BUILT_IN]: sources } },
    })
  }, LIMIT)
  afterAll(async () => {
    await client?.close()
    rmSync(scratch, { recursive: true })
  })

  const functions = async (...breakpoints: DebugProtocol.FunctionBreakpoint[]) =>
    (await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', { breakpoints }))
      .breakpoints
  const lines = async (path: string, ...breakpoints: DebugProtocol.SourceBreakpoint[]) =>
    (
      await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setBreakpoints', {
        source: { path },
        breakpoints,
      })
    ).breakpoints
  const stopped = () => client.event<DebugProtocol.StoppedEvent['body']>('stopped', () => true, LIMIT)
  const goOn = async () => {
    await client.request('continue', { threadId: 1 })
    return await stopped()
  }
  const frames = async () =>
    (await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', { threadId: 1 })).stackFrames
  const evaluate = async (expression: string, frameId?: number) =>
    (await client.request<{ result: string }>('evaluate', { expression, frameId, context: 'watch' })).result
  const number = async (expression: string, frameId?: number) =>
    BigInt((await evaluate(expression, frameId)).split(' ')[0])
  const localsOf = async (frameId: number) => {
    const { scopes } = await client.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId })
    const reference = scopes.find(({ name }) => name === 'Locals')?.variablesReference
    const { variables } = await client.request<{ variables: DebugProtocol.Variable[] }>('variables', {
      variablesReference: reference,
    })
    return new Map(variables.map(({ name, type, value }) => [name, `${type} ${value}`]))
  }
  const type = (line: string) => client.request('ringside/consoleInput', { text: `${line}\n` })
  const slide = async () => {
    const { modules } = await client.request<{ modules: DebugProtocol.Module[] }>('modules', {})
    return BigInt(/slide (\S+)/.exec(modules[0].addressRange ?? '')?.[1] ?? 0)
  }
  /** What binutils say of an address of the file. */
  const addr2line = async (address: string) =>
    execFileSync('addr2line', ['-e', vmlinux, (BigInt(address) - (await slide())).toString(16)], {
      encoding: 'utf8',
    }).trim()
  const linked = (name: string) => {
    const table = execFileSync('nm', ['--defined-only', vmlinux], { encoding: 'latin1', maxBuffer: 2 ** 26 })
    return BigInt(`0x${new RegExp(`^([0-9a-f]{16}) . ${name}$`, 'm').exec(table)?.[1]}`)
  }

  describe("Debian's kernel with its -dbg symbols and KASLR", () => {
    test(
      'stops at start_kernel, by name, asked for before it is decompressed',
      async () => {
        expect(client.output.important).toBeUndefined()
        const [start] = await functions({ name: 'start_kernel' })
        expect(start.verified).toBe(true)
        expect(BigInt(start.instructionReference ?? '')).toBe(linked('start_kernel'))
        await client.request('configurationDone')
        expect(await stopped()).toMatchObject({ reason: 'entry' })
        // Nothing of the kernel is in memory yet.
        expect(await evaluate('linux_banner[0]')).toMatch(/no memory can be read/)
        const early = await client.request('dataBreakpointInfo', { name: 'jiffies_64' })
        expect(early).toMatchObject({ dataId: null, description: expect.stringContaining('not in its place yet') })

        expect(await goOn()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [start.id] })
        expect(await slide()).toBeGreaterThan(0n)
        expect((await slide()) % LARGE_PAGE).toBe(0n)
        const [frame, caller] = await frames()
        expect(BigInt(frame.instructionPointerReference ?? '')).toBe(linked('start_kernel') + (await slide()))
        expect(await client.event('breakpoint')).toMatchObject({
          breakpoint: { id: start.id, verified: true, instructionReference: frame.instructionPointerReference },
        })
        expect(frame).toMatchObject({ name: 'start_kernel', source: { path: join(sources, 'init/main.c') } })
        expect(`${BUILT_IN}/init/main.c:${frame.line}`).toBe(await addr2line(frame.instructionPointerReference ?? ''))
        expect(caller.name).toMatch(/^secondary_startup_64/)
        expect(await evaluate('linux_banner')).toContain(`"Linux version ${kernel.release}`)
        expect(await evaluate('init_task.comm')).toBe('"swapper"')
        expect(await number('$cpl')).toBe(0n)
      },
      LIMIT,
    )

    test(
      'stops in vfs_read when count == 4096, and shows arguments, the file and a stack down to user space',
      async () => {
        const [read] = await functions({ name: 'vfs_read', condition: 'count == 4096' })
        expect(read.verified).toBe(true)
        await client.request('continue', { threadId: 1 })
        await client.consoleShows(SHELL_PROMPT, LIMIT)
        await type('/reader')
        expect(await stopped()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [read.id] })

        const stack = await frames()
        const names = stack.map(({ name }) => name)
        expect(names).toEqual([
          'vfs_read',
          expect.stringMatching(/^ksys_read \(read_write\.c:\d+\)$|^ksys_read$/),
          expect.stringMatching(/^do_syscall_x64 \[inlined\]/),
          expect.stringMatching(/^do_syscall_64/),
          expect.stringMatching(/^entry_SYSCALL_64_after_hwframe/),
          'system_call [interrupted]',
          'read_page',
          '_start',
        ])
        expect(stack[0]).toMatchObject({ source: { path: join(sources, 'fs/read_write.c') } })
        expect(await addr2line(stack[0].instructionPointerReference ?? '')).toBe(
          `${BUILT_IN}/fs/read_write.c:${stack[0].line}`,
        )
        expect(stack.slice(5)).toMatchObject(
          ['back-in-user-space', 'read', 'before-touch'].map(() => ({ source: { path: READER_SOURCE } })),
        )

        const locals = await localsOf(stack[0].id)
        const { count, file, buf, pos } = Object.fromEntries(locals)
        expect(count).toBe('size_t 4096')
        expect(file).toMatch(/^struct file \* 0xffff[0-9a-f]{12}$/)
        expect(pos).toMatch(/^loff_t \* 0xffff[0-9a-f]{12}$/)
        expect(buf).toContain((await evaluate('&page', stack[6].id)).split(' ')[0])
        expect(await evaluate('file->f_path.dentry->d_name.name', stack[0].id)).toMatch(/^0x[0-9a-f]+ "init"$/)
        expect(await evaluate('*pos', stack[0].id)).toBe('0')
        // Kept nowhere: the call in the caller tells it.
        expect(await evaluate('path', stack[6].id)).toContain('"/init"')
        const { process } = await client.request<StatusBody>('ringside/status')
        expect(process).toEqual({ name: 'reader', pid: expect.any(Number) })
      },
      LIMIT,
    )

    test(
      'steps out of it, and its value is what was read',
      async () => {
        await functions()
        await client.request('stepOut', { threadId: 1 })
        expect(await stopped()).toMatchObject({ reason: 'step' })
        const [frame] = await frames()
        expect(frame.name).toBe('ksys_read')
        const script = readFileSync(new URL('../linux/guest/shell.sh', import.meta.url))
        expect(await number('$rax')).toBe(BigInt(script.length))
      },
      LIMIT,
    )

    test(
      'comes back to user space, at a line of the program',
      async () => {
        const [back] = await lines(READER_SOURCE, { line: readerLine('read') })
        expect(back).toMatchObject({ verified: true, line: readerLine('read') })
        expect(await goOn()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [back.id] })
        const stack = await frames()
        expect(stack.map(({ name, line }) => [name, line])).toEqual([
          ['read_page', readerLine('read')],
          ['_start', expect.any(Number)],
        ])
        expect(await number('$cpl')).toBe(3n)
        expect(await evaluate('(char *)page', stack[0].id)).toContain('"#!/bin/sh')
        await lines(READER_SOURCE)
      },
      LIMIT,
    )

    test(
      'stops at the third page fault from user space, and translates its address to a host frame',
      async () => {
        const [before] = await lines(READER_SOURCE, { line: readerLine('before-touch') })
        expect(await goOn()).toMatchObject({ hitBreakpointIds: [before.id] })
        const [after] = await lines(READER_SOURCE, { line: readerLine('after-touch') })
        const filterOptions = [{ filterId: 'exception', condition: '#PF', mode: 'user', hitCondition: '3' }]
        const { breakpoints } = await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>(
          'setExceptionBreakpoints',
          { filters: [], filterOptions },
        )
        expect(breakpoints).toMatchObject([{ verified: true }])
        const stop = await goOn()
        expect(stop).toMatchObject({ reason: 'exception', hitBreakpointIds: [breakpoints[0].id] })

        const [frame, caller] = await frames()
        expect(frame).toMatchObject({ name: 'touch', line: readerLine('touch'), source: { path: READER_SOURCE } })
        expect(caller.name).toBe('_start')
        const address = `0x${((await number('&fresh', frame.id)) + 2n * 4096n).toString(16)}`
        expect(stop.text).toContain(address)
        const info = await client.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 })
        expect(info).toMatchObject({ exceptionId: '#PF', description: expect.stringContaining(address) })
        expect(await number('$cpl')).toBe(3n)

        const faulting = await client.request<TranslateBody>('ringside/translate', { address, access: 'write' })
        expect(faulting.fault).toMatchObject({ kind: 'page-fault', errorBits: 'W U' })
        expect(faulting.levels[0]?.level).toBe('PML4')
        expect(BigInt(faulting.levels[0].table)).toBe(await number('$cr3.BASE'))

        await client.request('setExceptionBreakpoints', { filters: [] })
        expect(await goOn()).toMatchObject({ hitBreakpointIds: [after.id] })
        expect(await number('$cr2')).toBe(BigInt(address) + 2n * 4096n)
        const mapped = await client.request<TranslateBody>('ringside/translate', { address, access: 'write' })
        expect(mapped.fault).toBeUndefined()
        expect(mapped.levels.map(({ level }) => level)).toEqual(FOUR_LEVELS)
        const host = await client.request<{ data: string }>('readMemory', {
          ...{ memoryReference: `hpa:${mapped.page?.hpa}`, count: 1 },
        })
        expect([...Buffer.from(host.data, 'base64')]).toEqual([1])
        await lines(READER_SOURCE)
      },
      LIMIT,
    )

    test(
      'watches jiffies_64 change, and says who changed it from what to what',
      async () => {
        const frameId = (await frames())[0].id
        const before = await number('jiffies_64', frameId)
        const info = await client.request<{ dataId: string }>('dataBreakpointInfo', { name: 'jiffies_64', frameId })
        const [watch] = (
          await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setDataBreakpoints', {
            breakpoints: [{ dataId: info.dataId, accessType: 'write', mode: 'change' }],
          })
        ).breakpoints
        expect(watch.verified).toBe(true)
        const stop = await goOn()
        expect(stop).toMatchObject({ reason: 'data breakpoint', hitBreakpointIds: [watch.id] })
        const after = await number('jiffies_64')
        expect(after).toBeGreaterThan(before)
        expect(stop.text).toMatch(
          new RegExp(
            `<jiffies_64>: 0x${before.toString(16)} -> 0x${after.toString(16)}, by .*<tick_do_update_jiffies64`,
          ),
        )
        const names = (await frames()).map(({ name }) => name)
        expect(names[0]).toMatch(/^tick_do_update_jiffies64/)
        expect(names.some(name => name.startsWith('asm_sysvec_apic_timer_interrupt'))).toBe(true)
        expect(names.some(name => name.includes('[interrupted]'))).toBe(true)
        await client.request('setDataBreakpoints', { breakpoints: [] })
      },
      LIMIT,
    )

    test(
      'stops in a module by name, which was asked for before it was loaded',
      async () => {
        const [setup] = await functions({ name: 'dummy_setup' })
        expect(setup).toMatchObject({ verified: false, message: expect.stringContaining('dummy_setup') })
        await client.request('continue', { threadId: 1 })
        await type(`echo 0 > /proc/sys/kernel/kptr_restrict; insmod /${MODULE}.ko numdummies=0`)
        await type('grep " dummy_setup" /proc/kallsyms; ip link add dummy9 type dummy')
        expect(await stopped()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [setup.id] })
        const shown = /([0-9a-f]{16}) t dummy_setup\s+\[dummy\]/.exec(client.output.stdout)?.[1]
        const [frame, ...callers] = await frames()
        expect(frame).toMatchObject({ name: 'dummy_setup', instructionPointerReference: `0x${shown}` })
        expect(callers.map(({ name }) => name.split(' ')[0])).toContain('alloc_netdev_mqs')
        const { modules } = await client.request<{ modules: DebugProtocol.Module[] }>('modules', {})
        expect(modules.map(({ name }) => name)).toContain(`${MODULE}.ko`)
        await functions()
      },
      LIMIT,
    )

    test(
      'is found anew after a reboot, wherever it has put itself then',
      async () => {
        const first = await slide()
        const [start] = await functions({ name: 'start_kernel' })
        await client.request('continue', { threadId: 1 })
        await type('reboot -f')
        expect(await stopped()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [start.id] })
        // Another moment is another seed.
        expect(await slide()).not.toBe(first)
        const [frame] = await frames()
        expect(frame).toMatchObject({ name: 'start_kernel', source: { path: join(sources, 'init/main.c') } })
        expect(BigInt(frame.instructionPointerReference ?? '')).toBe(linked('start_kernel') + (await slide()))
        const { modules } = await client.request<{ modules: DebugProtocol.Module[] }>('modules', {})
        expect(modules.map(({ name }) => name)).not.toContain(`${MODULE}.ko`)
        await functions()
        client.output.stdout = ''
        await client.request('continue', { threadId: 1 })
        await client.consoleShows(SHELL_PROMPT, LIMIT)
      },
      LIMIT,
    )

    test(
      'powers off',
      async () => {
        await type('poweroff -f')
        expect(await client.event('exited', () => true, LIMIT)).toEqual({ exitCode: 0 })
        expect(client.output.important).toBeUndefined()
      },
      LIMIT,
    )
  })
}
