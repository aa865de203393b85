/** `npm run demo`: what a newcomer sees, and that it fails when it has not seen it itself. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { whyNoLinux } from '../../scripts/demo/linux.ts'
import { Page, WIDTH } from '../../scripts/demo/page.ts'
import { showTour } from '../../scripts/demo/tour.ts'

const DEMO = fileURLToPath(new URL('../../scripts/demo.ts', import.meta.url))
const LINUX_LIMIT = 300_000

function demo(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [DEMO, ...args], { encoding: 'utf8' })
}

function expectReadable(stdout: string): void {
  // A path is not broken, however long it is.
  const lines = stdout.split('\n').filter(line => !line.includes(": '/"))
  expect(lines.filter(line => line.length > WIDTH)).toEqual([])
  expect(stdout).not.toContain('\x1b')
  expect(stdout).not.toMatch(/undefined|\[object|NaN/)
}

describe('the demo', () => {
  test('shows the teaching kernel stopped in each ring, looked into, and run to its end', () => {
    const { status, stdout, stderr } = demo('tour')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expectReadable(stdout)
    for (const shown of [
      /^> setFunctionBreakpoints /m,
      /^> setBreakpoints /m,
      /^< breakpoint \d: paging\.c:\d+ at 0x\w+$/m,
      /^< frame 1: kernel_main at kernel\.c:\d+, 0x\w+$/m,
      /^: \d+ {2}print\(/m,
      /^< frame 1: give_page at paging\.c:\d+, 0x\w+\n: \d+ {2}map_page\(address & FRAME, frame, /m,
      /^< +touch_new_memory \[interrupted\] +user\.c:\d+, 0x4000\w+\n< +user_main +user\.c:\d+, 0x4000\w+$/m,
      /^< +address 0x40010000$/m,
      /^< +summary +32-bit protected, CPL 0, no paging, IF=0$/m,
      /^< +summary +64-bit, CPL 0, 4-level paging, IF=0$/m,
      /^< +cr3 +0x\w+ \[BASE=0x\w+000\]$/m,
      /^< +0x\w+ +e8 [0-9a-f ]+call 0x\w+ <print>$/m,
      /^< +summary +64-bit, CPL 3, 4-level paging, IF=1$/m,
      /^< +PML4\[0\] +GPA 0x\w+ +0x\w{16} +P RW US A$/m,
      /^< +page +GPA 0x\w+ +4 KiB +user, read-only, code$/m,
      /^< 24 table entries were read for that$/m,
      /^< This access raises: page fault, error code 7 \(P W U\): the page is read-only$/m,
      /^< This access raises: page fault, error code 2 \(W\): the PT entry is not present$/m,
      /^< +2a 00 00 00 00 00 00 00$/m,
      /^\| user: hello from ring 3$/m,
      /^< +io +\d+$/m,
      /^< exited: status 0\. The guest powered off\.$/m,
    ])
      expect(stdout).toMatch(shown)
    expect(stdout.match(/^< {5}EPT PT\[\d+\] +HPA 0x\w+ +0x\w{16} {2}rwx -> HPA 0x\w+$/gm)).toHaveLength(5)
  })

  test('shows every mode of the processor, and a page fault that is explained and repaired', () => {
    const { status, stdout, stderr } = demo('modes')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expectReadable(stdout)
    const modes = stdout.match(/^< {3}\S+ (real|protected|CPL \d).*$/gm)?.map(line => line.slice(4))
    expect(modes).toEqual([
      '16-bit real, CPL 0, no paging, IF=0',
      '16-bit protected, CPL 0, no paging, IF=0',
      '32-bit protected, CPL 0, no paging, IF=0',
      '64-bit, CPL 0, 4-level paging, IF=0',
      '64-bit, CPL 3, 4-level paging, IF=0',
    ])
    for (const shown of [
      /^< frame 1: real_mode at modes\.asm:\d+, 0x8018\n: \d+ {2}xor ax, ax/m,
      /^< frame 1: read_letter at kernel\.c:\d+, 0x\w+\n: \d+ {2}char first = \*letter; /m,
      /read from CPL 0: the PT entry is not present/,
      /^< +PT\[16\] +GPA 0x\w+ +0x8\w{15} +not present$/m,
      /^> writeMemory \{ memoryReference: 'phys:0x\w+', data: '\S+' \}\n< {3}8 bytes written$/m,
      /^\| modes: signed\n\| modes: the end, without a page fault$/m,
    ])
      expect(stdout).toMatch(shown)
  })

  test('ends with status 1 and the reason when it can not show what it is asked for', () => {
    const { status, stderr } = demo('windows')
    expect(status).toBe(1)
    expect(stderr).toContain('"windows" is no part of the demo')
  })

  test('says what did not happen, and where, with a kernel that does otherwise', async () => {
    const page = new Page(() => {})
    const bench = fileURLToPath(new URL('../../guests/prebuilt/bench.elf', import.meta.url))
    await expect(showTour(page, bench)).rejects.toThrow('((code_selector & 3) == 3) was to be a place to stop at')
    expect(page.place).toBe('"1. Before the first instruction"')
  })

  const missing = whyNoLinux()
  if (missing !== undefined) test.skip(`shows Debian's kernel, which needs more: ${missing}`)
  else
    test(
      "shows Debian's kernel from its bzImage to its shell and its power-off",
      () => {
        const { status, stdout, stderr } = demo('linux')
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
        expectReadable(stdout)
        expect(stdout).toMatch(/^< frame 1: vfs_read at 0xffffffff[89a-f]\w{7}$/m)
        expect(stdout).toMatch(/^< 0x\w+ = PML4 \d+ : PDPT \d+ : PD \d+ : PT \d+ : offset 0x\w+$/m)
        expect(stdout).toMatch(/^\| Linux 6\.1\.\S+ x86_64\n\| 42$/m)
        expect(stdout).toContain('< exited: status 0. The guest powered off.')
      },
      LINUX_LIMIT,
    )
})
