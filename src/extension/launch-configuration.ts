/** Launch configurations, before the adapter sees them. */

import { isAbsolute, join } from 'node:path'
import { ArgumentError } from '../protocol/fields.ts'
import { parseLaunchArguments } from '../protocol/launch-arguments.ts'
import { DEBUG_TYPE } from './debug-type.ts'
import type { FoundKernel } from './find-kernels.ts'
import type { HostFiles } from './host-files.ts'

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
export async function complaint(
  configuration: Configuration,
  host: Pick<HostFiles, 'kindOf'>,
): Promise<string | undefined> {
  if (configuration.request !== 'launch')
    return `"request" must be "launch", not ${JSON.stringify(configuration.request)}: a guest lives with its debug session`
  try {
    const { program, initrd, symbols, disks } = parseLaunchArguments(configuration)
    const files = [
      { field: 'program', path: program },
      ...(initrd === undefined ? [] : [{ field: 'initrd', path: initrd }]),
      ...symbols.map(({ path }) => ({ field: 'symbols', path })),
      ...disks.map(disk => ({ field: 'disks', path: pathOf(disk), orDevice: true })),
    ]
    for (const file of files) {
      const wrong = await fileComplaint(file, host)
      if (wrong !== undefined) return wrong
    }
    return undefined
  } catch (error) {
    if (error instanceof ArgumentError) return error.message.replace(/^launch: /, '')
    throw error
  }
}

/** What stands before the options. */
function pathOf(disk: string): string {
  const [path] = disk.replaceAll(',,', '\0').split(',')
  return path.replaceAll('\0', ',')
}

/** A block device is a disk as well as a file is. */
async function fileComplaint(
  { field, path, orDevice = false }: { field: string; path: string; orDevice?: boolean },
  host: Pick<HostFiles, 'kindOf'>,
): Promise<string | undefined> {
  try {
    const kind = await host.kindOf(path)
    if (kind === undefined) return `"${field}": there is no file ${path}`
    return kind === 'file' || (orDevice && kind === 'block device') ? undefined : `"${field}": ${path} is not a file`
  } catch (error) {
    return `"${field}": ${error instanceof Error ? error.message : String(error)}`
  }
}
