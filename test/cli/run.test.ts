import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { instructionsIn, ringside } from '../support/ringside-command.ts'
import { assembleFlat, assembleMultiboot } from '../support/test-guest.ts'

const hasTools = ['nasm', 'ld'].every(tool => spawnSync(tool, ['-v']).error === undefined)
let scratch: string
const file = (name: string) => join(scratch, name)

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ringside-run-'))
})
afterAll(() => rmSync(scratch, { recursive: true }))

describe.skipIf(!hasTools)('ringside run, with guests assembled by nasm', () => {
  it('shows the serial console and ends with the status of a debug exit', async () => {
    expect(await ringside(['run', assembleMultiboot('hello-multiboot')])).toEqual({
      status: 7,
      stdout: 'hello from 32-bit protected mode\n',
      stderr: '',
    })
  })

  it('runs a boot sector in real mode', async () => {
    expect(await ringside(['run', assembleFlat('hello-boot-sector')])).toEqual({
      status: 11,
      stdout: 'hello from real mode\n',
      stderr: '',
    })
  })

  it('gives the guest what is typed', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('echo')], (output, write) => {
      if (output === 'ready\n') write('hello, guest')
      else if (output.endsWith('GUEST')) write('.')
    })
    expect(stdout).toBe('ready\nHELLO, GUEST')
    expect(status).toBe(1)
  })

  it('ends with 126 at a triple fault, and shows state, instruction and exits', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('triple-fault')])
    expect(status).toBe(126)
    expect(stdout).toBe('about to triple-fault\n')
    expect(stderr).toMatch(/vCPU 0: triple fault after \d+ instructions/)
    expect(stderr).toMatch(/summary +32-bit protected, CPL 0, no paging, IF=0/)
    expect(stderr).toMatch(/=> 0x1000\w\w +0f 0b +ud2/)
    expect(stderr).toMatch(/vCPU 0 io out to port 0x3f8 at 0x/)
  })

  it('lets a guest that jumps into a hole fault as the architecture says', async () => {
    const { status, stderr } = await ringside(['run', assembleMultiboot('hole')])
    expect(status).toBe(126)
    expect(stderr).toMatch(/=> 0xd0000000 /)
  })

  it('ends when the guest is halted for ever', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('halt')])
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'halting\n' })
  })

  it('ends with 124 after the timeout, with all output shown', async () => {
    const { status, stdout, stderr } = await ringside(['run', assembleMultiboot('loop'), '--timeout', '1'])
    expect({ status, stdout }).toEqual({ status: 124, stdout: 'looping\n' })
    expect(stderr).toContain('the guest has not ended after 1 s')
  })

  it('ends with 0 right after the text it waits for', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('loop'), '--until', 'oop'])
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'loop' })
  })

  it('reboots when the guest resets, or ends there', async () => {
    const image = assembleMultiboot('reset')
    expect(await ringside(['run', image, '--no-reboot'])).toEqual({ status: 0, stdout: 'resetting\n', stderr: '' })
    const again = await ringside(['run', image, '--until', 'resetting\nresetting\nresetting\n'])
    expect(again).toEqual({ status: 0, stdout: 'resetting\n'.repeat(3), stderr: '' })
  })

  it('survives a guest that programs every device with nonsense', async () => {
    const { status, stdout } = await ringside(['run', assembleMultiboot('nonsense-devices'), '--timeout', '50'])
    expect(stdout.slice(-10)).toBe('\nsurvived\n')
    expect(status).toBe(1)
  })

  it('writes statistics, the same in every run', async () => {
    const image = assembleMultiboot('hello-multiboot')
    const read = async (name: string) => {
      await ringside(['run', image, '--stats', file(name)])
      return JSON.parse(readFileSync(file(name), 'utf8'))
    }
    const first = await read('a.json')
    expect(first).toMatchObject({ exits: { io: expect.any(Number), 'ept-violation': expect.any(Number) } })
    for (const field of ['instructions', 'seconds', 'tlbFills', 'blocksDecoded', 'virtualSeconds'])
      expect(first[field], field).toBeGreaterThan(0)
    const { seconds: _, ...again } = await read('b.json')
    expect(first).toMatchObject(again)
  })

  it('saves at an instruction count and continues in another process to the same end', async () => {
    const image = assembleMultiboot('hello-multiboot')
    const whole = await ringside(['run', image, '--stats', file('whole.json')])
    const total = instructionsIn(file('whole.json'))
    for (const at of [1, 77, total - 1]) {
      const before = await ringside(['run', image, '--save', file('s'), '--save-at', String(at)])
      expect(before.status).toBe(0)
      const after = await ringside(['run', image, '--restore', file('s'), '--stats', file('after.json')])
      expect({ ...after, stdout: before.stdout + after.stdout }).toEqual(whole)
      expect(instructionsIn(file('after.json'))).toBe(total)
    }
    const other = await ringside(['run', image, '--restore', file('s'), '--cpus', '2'])
    expect(other.status).toBe(65)
    expect(other.stderr).toContain('made of another machine')
  })
})

describe('ringside, wrongly used', () => {
  it('ends with 64 and says what is wrong', async () => {
    for (const args of [[], ['fly'], ['run'], ['run', 'k', '--what']]) {
      const { status, stdout, stderr } = await ringside(args)
      expect({ status, stdout }).toEqual({ status: 64, stdout: '' })
      expect(stderr).toMatch(/^ringside: .*\n\nUsage:/)
    }
  })

  it('ends with 64 when more memory is wanted than there is', async () => {
    writeFileSync(file('image'), 'x')
    const { status, stderr } = await ringside(['run', file('image'), '--memory', '4G'])
    expect(status).toBe(64)
    expect(stderr).toBe(
      'ringside: 4096 MiB of memory is more than there is: all guests together can have at most 3 GiB\n',
    )
  })

  it('ends with 66 when a file can not be read', async () => {
    const { status, stderr } = await ringside(['run', file('absent')])
    expect(status).toBe(66)
    expect(stderr).toBe(`ringside: image "${file('absent')}" can't be read: there is no such file\n`)
  })

  it('ends with 65 when an image can not be booted, and says why', async () => {
    writeFileSync(file('text'), 'This is not a kernel.')
    const { status, stderr } = await ringside(['run', file('text')])
    expect(status).toBe(65)
    expect(stderr).toMatch(/^ringside: .*text: not a bootable image/)
  })
})

describe('ringside', () => {
  it('explains itself and tells its version', async () => {
    const help = await ringside(['--help'])
    expect(help.status).toBe(0)
    expect(help.stdout).toMatch(/^Usage:\n {2}ringside run IMAGE/)
    const version = await ringside(['--version'])
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})
