/** Launch configurations, before the adapter sees them. */

import { statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { ArgumentError } from '../protocol/fields.ts'
import { parseLaunchArguments } from '../protocol/launch-arguments.ts'
import { DEBUG_TYPE } from './debug-type.ts'
import type { FoundKernel } from './find-kernels.ts'

/** What of a configuration is ours to read; everything else passes through. */
export interface Configuration {
  [name: string]: unknown
  type: string
  name: string
  request: string
}

/** For a kernel that was found in a folder. */
export function configurationFor({ kind, path }: FoundKernel): Configuration {
  return {
    type: DEBUG_TYPE,
    request: 'launch',
    name: `Ringside: ${path}`,
    program: `\${workspaceFolder}/${path}`,
    ...(kind === 'Linux' ? { cmdline: 'console=ttyS0', memory: '512M' } : { stopOnEntry: true }),
  }
}

/** The teaching kernel that comes with the extension. */
export function tourConfiguration(extensionPath: string): Configuration {
  const program = join(extensionPath, 'guests', 'prebuilt', 'tour.elf')
  return { type: DEBUG_TYPE, request: 'launch', name: 'Ringside: the tour', program, memory: '64M', stopOnEntry: true }
}

/** With our defaults, which differ from those of the adapter: VS Code has a terminal for the serial console. */
export function withDefaults<C extends Configuration>(configuration: C): C {
  const complete = { console: 'integratedTerminal', ...configuration }
  // Otherwise the Debug Console would cover the terminal when the session starts.
  if (complete.console !== 'integratedTerminal') return complete
  return { internalConsoleOptions: 'neverOpen', ...complete }
}

/** Files named relatively are the folder's: the adapter runs elsewhere. */
export function withAbsolutePaths<C extends Configuration>(configuration: C, folder: string | undefined): C {
  if (folder === undefined) return configuration
  const absolute = (path: unknown): unknown =>
    typeof path === 'string' && path !== '' && !isAbsolute(path) ? join(folder, path) : path
  const symbol = (file: unknown): unknown =>
    typeof file === 'object' && file !== null && 'path' in file
      ? { ...file, path: absolute(file.path) }
      : absolute(file)
  // Options stand behind these, after a comma; a comma of the path is written twice.
  const withOptions = (path: unknown): unknown =>
    typeof path === 'string' && path !== '' && !isAbsolute(path)
      ? `${join(folder, '/').replaceAll(',', ',,')}${path}`
      : path
  const each = (value: unknown, change: (path: unknown) => unknown): unknown =>
    Array.isArray(value) ? value.map(change) : change(value)
  const changed: Record<string, unknown> = {}
  for (const name of ['program', 'initrd', 'pcap'])
    if (name in configuration) changed[name] = absolute(configuration[name])
  const { symbols, moduleSymbols, sourceMap } = configuration
  if (typeof sourceMap === 'object' && sourceMap !== null)
    changed.sourceMap = Object.fromEntries(Object.entries(sourceMap).map(([from, to]) => [from, absolute(to)]))
  if (moduleSymbols !== undefined) changed.moduleSymbols = each(moduleSymbols, absolute)
  if (symbols !== undefined) changed.symbols = each(symbols, symbol)
  for (const name of ['disks', 'shares'])
    if (name in configuration) changed[name] = each(configuration[name], withOptions)
  return { ...configuration, ...changed }
}

/** What is wrong with a configuration, in words that name the field; undefined when it can be launched. */
export function complaint(configuration: Configuration): string | undefined {
  if (configuration.request !== 'launch')
    return `"request" must be "launch", not ${JSON.stringify(configuration.request)}: a guest lives with its debug session`
  try {
    const { program, initrd, symbols, disks } = parseLaunchArguments(configuration)
    return (
      fileComplaint('program', program) ??
      (initrd === undefined ? undefined : fileComplaint('initrd', initrd)) ??
      [...symbols.map(({ path }) => fileComplaint('symbols', path)), ...disks.map(diskComplaint)].find(
        text => text !== undefined,
      )
    )
  } catch (error) {
    if (error instanceof ArgumentError) return error.message.replace(/^launch: /, '')
    throw error
  }
}

/** Of the path before the options; a block device is a disk as well as a file is. */
function diskComplaint(disk: string): string | undefined {
  const [path] = disk.replaceAll(',,', '\0').split(',')
  return fileComplaint('disks', path.replaceAll('\0', ','), true)
}

function fileComplaint(field: string, path: string, orDevice = false): string | undefined {
  try {
    const file = statSync(path, { throwIfNoEntry: false })
    if (file === undefined) return `"${field}": there is no file ${path}`
    return file.isFile() || (orDevice && file.isBlockDevice()) ? undefined : `"${field}": ${path} is not a file`
  } catch (error) {
    return `"${field}": ${error instanceof Error ? error.message : String(error)}`
  }
}
