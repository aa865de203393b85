/** What `package.json` tells VS Code: that it agrees with the adapter, and that what it points to ships. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { packageFiles } from '../../scripts/package/files.ts'
import { adapterCommand } from '../../src/extension/adapter-line/adapter-command.ts'
import { DEBUG_TYPE } from '../../src/extension/debug-type.ts'
import { configure } from '../../src/machine/configuration.ts'
import { parseLaunchArguments } from '../../src/protocol/launch-arguments.ts'
import { MAXIMUM_CPUS } from '../../src/vmm/vm.ts'

const { contributes } = manifest
const [debug] = contributes.debuggers
const { properties, required } = debug.configurationAttributes.launch

const IMAGE = { program: 'kernel.elf' }
/** A path from the top of the repository. */
const repositoryFile = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

const shipped = packageFiles(
  repositoryFile('.'),
  manifest.files.filter(pattern => !pattern.startsWith('dist/')),
)
const ships = (file: string): boolean => manifest.files.includes(file) || shipped.includes(file)

const accepts = (args: object) => expect(() => parseLaunchArguments({ ...IMAGE, ...args })).not.toThrow()
const refuses = (args: object) => expect(() => parseLaunchArguments({ ...IMAGE, ...args })).toThrow('launch: ')

describe('the launch configuration', () => {
  test('has exactly the arguments that the adapter knows', () => {
    let message = ''
    try {
      parseLaunchArguments({ ...IMAGE, nonsense: true })
    } catch (error) {
      message = String(error)
    }
    const known = /known are (.+)$/.exec(message)?.[1].split(', ') ?? []
    expect(Object.keys(properties).sort()).toEqual(known.sort())
  })

  test('requires what the adapter requires', () => {
    expect(() => parseLaunchArguments({})).toThrow('"program"')
    expect(() => parseLaunchArguments({ program: '' })).toThrow('"program"')
    expect(required).toEqual(['program'])
    expect(properties.program.minLength).toBe(1)
  })

  test('names defaults that are the values of absent arguments', () => {
    const { cmdline, memory, cpus, stopOnEntry } = properties
    const absent = parseLaunchArguments(IMAGE)
    expect(absent).toMatchObject({ cmdline: cmdline.default, stopOnEntry: stopOnEntry.default })
    const machine = configure({ image: { name: 'kernel.elf', bytes: new Uint8Array(1) } })
    expect(parseLaunchArguments({ ...IMAGE, memory: memory.default }).memory).toBe(machine.memory)
    expect(cpus.default).toBe(machine.cpus)
  })

  test('allows the sizes of memory that the adapter allows', () => {
    const pattern = new RegExp(properties.memory.pattern)
    for (const memory of ['256M', '1g', '65536', '512KiB', '64MB']) {
      expect(memory).toMatch(pattern)
      accepts({ memory })
    }
    for (const memory of ['lots', '1T', '-1', '1.5G', '']) {
      expect(memory).not.toMatch(pattern)
      refuses({ memory })
    }
    accepts({ memory: properties.memory.minimum })
    refuses({ memory: properties.memory.minimum - 1 })
  })

  test('allows as many processors as a machine can have', () => {
    const { minimum, maximum } = properties.cpus
    accepts({ cpus: minimum })
    refuses({ cpus: minimum - 1 })
    accepts({ cpus: maximum })
    expect(maximum).toBe(MAXIMUM_CPUS)
  })

  test('allows one symbol file, several, and several with a slide', () => {
    const slide = new RegExp(properties.symbols.anyOf[1].items?.anyOf[1].properties?.slide.pattern ?? '(?!)')
    accepts({ symbols: 'vmlinux' })
    accepts({ symbols: ['vmlinux', { path: 'module.ko', slide: '0xffffffffc0000000' }] })
    for (const good of ['0', '-4096', '0x1000']) {
      expect(good).toMatch(slide)
      accepts({ symbols: [{ path: 'vmlinux', slide: good }] })
    }
    for (const bad of ['far', '0x', '1K']) {
      expect(bad).not.toMatch(slide)
      refuses({ symbols: [{ path: 'vmlinux', slide: bad }] })
    }
  })
})

describe('the configurations that it offers', () => {
  /** What a snippet leaves behind when nobody changes its placeholders. */
  const filledIn = (value: unknown): unknown =>
    typeof value !== 'string'
      ? value
      : value
          .replace(/^\^"(.*)"$/, '$1')
          .replaceAll('\\$', '$')
          .replace(/\$\{\d+:([^}]*)\}/g, '$1')
  const offered = [...debug.initialConfigurations, ...debug.configurationSnippets.map(({ body }) => body)]

  test.each(offered.map(configuration => [configuration.name, configuration] as const))(
    '%s is one that the adapter takes',
    (_name, configuration) => {
      const args = Object.fromEntries(Object.entries(configuration).map(([key, value]) => [key, filledIn(value)]))
      expect(args).toMatchObject({ type: debug.type, request: 'launch' })
      const { program } = parseLaunchArguments(args)
      expect(program).toMatch(/^\$\{(workspaceFolder|extensionInstallFolder:ringside\.ringside)\}\/[\w./-]+$/)
      const ours = /^\$\{extensionInstallFolder:.*?\}\/(.+)$/.exec(program)?.[1]
      if (ours !== undefined) expect(ships(ours)).toBe(true)
    },
  )

  test('name the extension as the manifest does', () => {
    expect(`${manifest.publisher}.${manifest.name}`).toBe('ringside.ringside')
  })
})

describe('the package', () => {
  const pointedTo = [
    ...contributes.languages.map(({ configuration }) => configuration),
    ...contributes.grammars.map(({ path }) => path),
  ]

  test.each(pointedTo)('%s is there, is JSON and ships', path => {
    expect(() => JSON.parse(readFileSync(repositoryFile(path), 'utf8'))).not.toThrow()
    expect(ships(path.replace(/^\.\//, ''))).toBe(true)
  })

  test('ships the programs that the build makes: the extension, and the command that it starts', () => {
    expect(ships(manifest.main.replace(/^\.\//, ''))).toBe(true)
    expect(ships(manifest.bin.ringside)).toBe(true)
    expect(adapterCommand({ path: '', node: '' }, { extensionPath: '/e', execPath: 'node' }).args).toEqual([
      `/e/${manifest.bin.ringside}`,
      'dap',
    ])
  })

  test('is activated for the type of debugger that it contributes', () => {
    expect(debug.type).toBe(DEBUG_TYPE)
    expect(manifest.activationEvents).toEqual(
      ['Resolve', 'InitialConfigurations', 'DynamicConfigurations'].map(event => `onDebug${event}:${DEBUG_TYPE}`),
    )
  })

  test('says which settings a folder that is not trusted may not choose: those that name programs', () => {
    const settings = Object.keys(contributes.configuration.properties)
    expect(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations).toEqual(settings)
  })

  test('has breakpoints in every language that the debugger is for, and a grammar for each of its own', () => {
    expect(contributes.breakpoints.map(({ language }) => language)).toEqual(debug.languages)
    for (const { id } of contributes.languages) {
      // Linker scripts are coloured; nothing in them executes.
      if (id !== 'ld') expect(debug.languages).toContain(id)
      expect(contributes.grammars.some(({ language }) => language === id)).toBe(true)
    }
  })
})
