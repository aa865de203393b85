import { describe, expect, test } from 'vitest'
import { parseLaunchArguments } from '../../src/protocol/launch-arguments.ts'

describe('launch arguments', () => {
  test('need no more than a program', () => {
    expect(parseLaunchArguments({ program: 'vmlinuz' })).toEqual({
      program: 'vmlinuz',
      symbols: [],
      moduleSymbols: [],
      disks: [],
      shares: [],
      cmdline: '',
      engine: 'software',
      sourceMap: [],
      stopOnEntry: false,
      console: 'internalConsole',
    })
  })

  test('may give everything, beside what an editor adds', () => {
    const args = {
      type: 'ringside',
      name: 'Debug kernel',
      request: 'launch',
      __sessionId: 'x',
      program: 'vmlinuz',
      symbols: 'vmlinux',
      moduleSymbols: '/lib/modules',
      initrd: 'initrd.gz',
      cmdline: 'console=ttyS0',
      memory: '512M',
      cpus: 2,
      disks: ['a.img,readonly', 'b.img'],
      shares: '/home/me/shared,writable',
      balloon: 'size=64M',
      virtioConsole: true,
      rng: true,
      net: 'user,forward=tcp:2222:22',
      pcap: 'guest.pcapng',
      stopOnEntry: true,
      sourceMap: { '/build': '/src', '/build/linux': '/linux' },
      console: 'integratedTerminal',
    }
    expect(parseLaunchArguments(args)).toEqual({
      program: 'vmlinuz',
      symbols: [{ path: 'vmlinux', slide: 0n }],
      moduleSymbols: ['/lib/modules'],
      initrd: 'initrd.gz',
      cmdline: 'console=ttyS0',
      disks: ['a.img,readonly', 'b.img'],
      shares: ['/home/me/shared,writable'],
      balloon: 'size=64M',
      virtioConsole: '',
      rng: '',
      net: 'user,forward=tcp:2222:22',
      pcap: 'guest.pcapng',
      engine: 'software',
      sourceMap: [
        { from: '/build/linux', to: '/linux' },
        { from: '/build', to: '/src' },
      ],
      memory: 2 ** 29,
      cpus: 2,
      stopOnEntry: true,
      console: 'integratedTerminal',
    })
  })

  test('place several symbol files', () => {
    const symbols = ['vmlinux', { path: 'module.ko', slide: '0xffffffffc0000000' }, { path: 'user', slide: '-0x1000' }]
    expect(parseLaunchArguments({ program: 'p', symbols }).symbols).toEqual([
      { path: 'vmlinux', slide: 0n },
      { path: 'module.ko', slide: 0xffff_ffff_c000_0000n },
      { path: 'user', slide: -0x1000n },
    ])
  })

  test.each([
    [268435456, 2 ** 28],
    ['1G', 2 ** 30],
    ['65536k', 2 ** 26],
    ['128MiB', 2 ** 27],
  ])('take a size such as %j', (memory, bytes) => {
    expect(parseLaunchArguments({ program: 'p', memory }).memory).toBe(bytes)
  })

  test.each([
    [undefined, 'launch: arguments must be an object'],
    [{}, 'launch: "program" is missing'],
    [{ program: '' }, 'launch: "program" is empty'],
    [{ program: 5 }, 'launch: "program" must be a string, not 5'],
    [{ program: 'p', memory: 'lots' }, 'launch: "memory" must be a size such as "256M" or "1G", not "lots"'],
    [{ program: 'p', memory: -1 }, 'launch: "memory" must be a size'],
    [{ program: 'p', cpus: 0 }, 'launch: "cpus" must be an integer from 1 to 64, not 0'],
    [{ program: 'p', stopOnEntry: 'yes' }, 'launch: "stopOnEntry" must be true or false, not "yes"'],
    [{ program: 'p', symbols: [{ slide: '0x1' }] }, 'launch: "symbols"[0]: "path" is missing'],
    [{ program: 'p', symbols: [{ path: 'a', slide: 'x' }] }, 'launch: "symbols"[0]: "slide" must be a number'],
    [{ program: 'p', initrd: null }, 'launch: "initrd" must be a string, not null'],
    [{ program: 'p', moduleSymbols: ['a.ko', 1] }, 'launch: "moduleSymbols"'],
    [{ program: 'p', inird: 'x' }, 'launch: unknown argument "inird"; known are program, symbols, moduleSymbols'],
  ])('%j are refused: %s', (args, message) => {
    expect(() => parseLaunchArguments(args)).toThrow(message)
  })
})
