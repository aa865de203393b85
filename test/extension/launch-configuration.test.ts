import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { machineFiles } from '../../src/extension/host-files.ts'
import {
  complaint,
  configurationFor,
  tourConfiguration,
  withAbsolutePaths,
  withDefaults,
} from '../../src/extension/launch-configuration.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TOUR = `${ROOT}guests/prebuilt/tour.elf`
const CONFIGURATION = { type: 'ringside', request: 'launch', name: 'mine', program: TOUR }

describe('a launch configuration', () => {
  test('of the tour can be launched', async () => {
    expect(await complaint(withDefaults(tourConfiguration(ROOT)), machineFiles)).toBeUndefined()
  })

  test.each(['Linux', 'Multiboot'] as const)('for a %s kernel that was found can be launched', async kind => {
    const { program, ...rest } = configurationFor({ kind, path: 'guests/prebuilt/tour.elf' })
    expect(program).toBe(`\${workspaceFolder}/guests/prebuilt/tour.elf`)
    const absolute = withAbsolutePaths({ ...rest, program: 'guests/prebuilt/tour.elf' }, ROOT)
    expect(await complaint(absolute, machineFiles)).toBeUndefined()
  })

  test('gets a terminal for the serial console, which the Debug Console does not cover', () => {
    expect(withDefaults(CONFIGURATION)).toEqual({
      ...CONFIGURATION,
      console: 'integratedTerminal',
      internalConsoleOptions: 'neverOpen',
    })
  })

  test('keeps what it says itself', () => {
    const own = { ...CONFIGURATION, console: 'internalConsole' }
    expect(withDefaults(own)).toEqual(own)
    expect(withDefaults({ ...CONFIGURATION, internalConsoleOptions: 'openOnSessionStart' })).toMatchObject({
      internalConsoleOptions: 'openOnSessionStart',
    })
  })

  test('names files relative to the folder', () => {
    const symbols = ['a', { path: 'b', slide: '0' }]
    const relative = { ...CONFIGURATION, program: 'k.elf', initrd: '/i.gz', symbols, sourceMap: { '/build': 'src' } }
    expect(withAbsolutePaths(relative, '/folder')).toEqual({
      ...CONFIGURATION,
      program: '/folder/k.elf',
      initrd: '/i.gz',
      symbols: ['/folder/a', { path: '/folder/b', slide: '0' }],
      sourceMap: { '/build': '/folder/src' },
    })
    expect(withAbsolutePaths({ ...relative, symbols: 'a' }, '/folder').symbols).toBe('/folder/a')
    const disks = ['d.img,readonly', '/d', 'a,,b']
    expect(withAbsolutePaths({ ...CONFIGURATION, disks, shares: '.' }, '/x,y')).toMatchObject({
      disks: ['/x,,y/d.img,readonly', '/d', '/x,,y/a,,b'],
      shares: '/x,,y/.',
    })
    expect(withAbsolutePaths(relative, undefined)).toBe(relative)
  })

  test.each([
    [{ request: 'attach' }, '"request" must be "launch", not "attach"'],
    [{ program: undefined }, '"program" is missing'],
    [{ program: '' }, '"program" is empty'],
    [{ program: '/nowhere/kernel.elf' }, '"program": there is no file /nowhere/kernel.elf'],
    [{ program: ROOT }, `"program": ${ROOT} is not a file`],
    [{ initrd: '/nowhere/initrd' }, '"initrd": there is no file /nowhere/initrd'],
    [{ symbols: ['/nowhere/vmlinux'] }, '"symbols": there is no file /nowhere/vmlinux'],
    [{ disks: ['/nowhere/a,,b,readonly'] }, '"disks": there is no file /nowhere/a,b'],
    [{ memory: 'lots' }, '"memory" must be a size'],
    [{ cpus: 0 }, '"cpus" must be an integer'],
    [{ console: 'externalTerminal' }, '"console" must be one of internalConsole, integratedTerminal'],
    [{ inird: 'x' }, 'unknown argument "inird"'],
  ])('with %j is refused: %s', async (wrong, message) => {
    const text = await complaint({ ...CONFIGURATION, ...wrong }, machineFiles)
    expect(text?.slice(0, message.length)).toBe(message)
  })
})
