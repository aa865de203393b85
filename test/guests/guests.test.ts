import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ringside } from '../support/ringside-command.ts'
import { assembleFlat, assembleMultiboot } from '../support/test-guest.ts'

const prebuilt = (name: string) => fileURLToPath(new URL(`../../guests/prebuilt/${name}.elf`, import.meta.url))

/** Whatever a guest does, this must not appear. */
const OUR_FAULT = /a fault of Ringside itself/

describe('the test guests', () => {
  test('32-bit Multiboot code says hello, and debug-exit gives the status', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('hello-multiboot')])
    expect({ status, stdout, stderr }).toEqual({ status: 7, stdout: 'hello from 32-bit protected mode\n', stderr: '' })
  })

  test('a boot sector runs in real mode', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleFlat('hello-boot-sector')])
    expect({ status, stdout, stderr }).toEqual({ status: 11, stdout: 'hello from real mode\n', stderr: '' })
  })

  test('a triple fault ends the run with the state of the processor and the instruction', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('triple-fault')])
    expect(stdout).toBe('about to triple-fault\n')
    expect(stderr).toMatch(/triple fault/i)
    expect(stderr).toMatch(/ud2/)
    expect(stderr).toMatch(/\bcr3\b/i)
    expect(status).toBe(126)
  })

  test('a jump to where nothing is faults as the architecture says', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('hole'), '--timeout', '20'])
    expect(stdout).toBe('about to jump into a hole\n')
    expect(stderr).not.toMatch(OUR_FAULT)
    expect(stderr).toMatch(/d0000000/i)
    expect(status).toBe(126)
  })

  test('a guest that loops is ended by the timeout', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('loop'), '--timeout', '1'])
    expect({ status, stdout }).toEqual({ status: 124, stdout: 'looping\n' })
  })

  test('a guest that halts for good ends the run', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('halt'), '--timeout', '20'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'halting\n' })
  })

  test('a reset boots the guest again', async () => {
    const { status, stdout } = await ringside([
      'run',
      assembleMultiboot('reset'),
      ...['--timeout', '20', '--until', 'resetting\nresetting\nresetting\n'],
    ])
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'resetting\n'.repeat(3) })
  })

  test('a reset ends the run when told so', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('reset'), '--no-reboot'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'resetting\n' })
  })

  test('standard input is the serial line', async () => {
    let asked = false
    const { status, stdout } = await ringside(
      ['run', assembleMultiboot('echo'), '--timeout', '20'],
      (output, write) => {
        if (asked || !output.includes('ready\n')) return
        asked = true
        write('ringside.')
      },
    )
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'ready\nRINGSIDE' })
  })

  test('nonsense to every port and device page leaves the machine running', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('nonsense-devices'), '--timeout', '50'])
    expect(stdout).toMatch(/\nsurvived\n$/)
    expect(stderr).not.toMatch(OUR_FAULT)
    expect(status).toBe(1)
  })
})

describe('the prebuilt guests', () => {
  test('the tour goes through rings, system calls, a timer and a page fault', async () => {
    const { status, stdout } = await ringside(['run', prebuilt('tour')])
    expect(stdout.replace(/0x1[0-9a-f]{5}\b/g, '0x1xxxxx').split('\n')).toEqual([
      'tour: 64-bit kernel in ring 0, page tables at 0x1xxxxx',
      'tour: entering ring 3 at 0x40000000',
      'user: hello from ring 3',
      'user: three timer interrupts came and went',
      'tour: page fault at 0x40010000 from ring 3, a write where nothing is mapped',
      'tour: mapped it to frame 0x1xxxxx',
      'user: wrote to new memory and read it back',
      'tour: the program ended with status 0x0, powering off',
      '',
    ])
    expect(status).toBe(0)
  })

  test('modes goes through every mode, and mends its own page table when nobody else does', async () => {
    const { status, stdout } = await ringside(['run', prebuilt('modes')])
    expect(stdout.split('\n')).toEqual([
      'modes: 16-bit real mode',
      'modes: 32-bit protected mode, no paging',
      'modes: 64-bit mode, ring 0',
      'modes: to ring 3',
      'user: hello from ring 3',
      'user: the kernel doubles',
      'modes: page fault, a read; the kernel mends its table',
      'modes: the letter begins with D',
      'modes: page fault, a write; the kernel mends its table',
      'modes: signed',
      'modes: the end, after page faults',
      '',
    ])
    expect(status).toBe(0)
  })

  // Checksums as QEMU computes them.
  test.each([
    ['collatz', 100000, '10753840'],
    ['xorshift', 1000000, '1498212418869252289'],
    ['memcpy', 100, '3543737152541963570'],
    ['sieve', 1, '82025'],
    ['fib', 20, '6765'],
    ['interpreter', 100000, '1662823333382265414'],
  ])('the benchmark loop %s computes the right checksum', async (loop, n, checksum) => {
    const { status, stdout } = await ringside(['run', prebuilt('bench'), '--cmdline', `loop=${loop} n=${n}`])
    expect({ status, stdout }).toEqual({ status: 1, stdout: `${loop} ${n} ${checksum}\n` })
  })
})
