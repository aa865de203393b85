/** Arguments of the `launch` request, as they stand in `launch.json`. */

import { ArgumentError, Fields } from './fields.ts'

export interface LaunchArguments {
  /** The image to boot: bzImage, ELF, multiboot, flat binary. */
  readonly program: string
  /** ELF files whose symbols belong to the guest's code. */
  readonly symbols: readonly SymbolFileArgument[]
  /** Files of Linux modules (`.ko`), and directories with some: each has its symbols where the guest puts it. */
  readonly moduleSymbols: readonly string[]
  readonly initrd?: string
  readonly cmdline: string
  /** Bytes of RAM; the machine's default if absent, and so with `cpus` and `cpu`. */
  readonly memory?: number
  readonly cpus?: number
  /** Model of the processor, with features added or taken away. */
  readonly cpu?: string
  /** Disks: each as `--disk` of the command has it. */
  readonly disks: readonly string[]
  /** Folders for the guest: each as `--share` of the command has it. */
  readonly shares: readonly string[]
  /** A balloon: options as `--balloon=` of the command has them, or none. */
  readonly balloon?: string
  /** A second console, hvc0: options such as `port=NAME`, or none. Its output comes beside that of the serial one. */
  readonly virtioConsole?: string
  /** An entropy device: options as `--rng=` of the command has them, or none. */
  readonly rng?: string
  /** The network, as `--net` of the command has it. */
  readonly net?: string
  /** File that what passes the network is written to. */
  readonly pcap?: string
  /** What executes the guest's instructions. */
  readonly engine: Engine
  /** Where sources are that the compiler knew elsewhere; the longest match counts. */
  readonly sourceMap: readonly SourceMapEntry[]
  readonly stopOnEntry: boolean
  readonly console: ConsolePlace
}

/** `software`: the processor in software, deterministic to the instruction. */
export type Engine = 'software'

export interface SourceMapEntry {
  /** Beginning of a path as the debugging information has it. */
  readonly from: string
  /** What stands there on this machine. */
  readonly to: string
}

/**
 * Where the guest's serial console is shown: beside the messages of the debugger, as `output` events, or in a terminal
 * of the client's, which gets events of our own (`CONSOLE_OUTPUT`).
 */
export type ConsolePlace = 'internalConsole' | 'integratedTerminal'

export interface SymbolFileArgument {
  readonly path: string
  /** Added to every address of the file: where it was loaded minus where it was linked. */
  readonly slide: bigint
}

const KNOWN = [
  ...['program', 'symbols', 'moduleSymbols', 'initrd', 'cmdline', 'memory', 'cpus', 'cpu', 'engine', 'sourceMap'],
  ...['disks', 'shares', 'balloon', 'virtioConsole', 'rng', 'net', 'pcap', 'stopOnEntry', 'console'],
]
/** What an editor adds to every launch configuration; names that begin with `__` are its own too. */
const EDITORS_OWN = [
  'type',
  'name',
  'request',
  'noDebug',
  'preLaunchTask',
  'postDebugTask',
  'presentation',
  'debugServer',
  'serverReadyAction',
  'suppressMultipleSessionWarning',
  'windows',
  'linux',
  'osx',
]
const MOST_CPUS = 64

/** Throws {@link ArgumentError}, which names the argument that is wrong. */
export function parseLaunchArguments(value: unknown): LaunchArguments {
  const fields = new Fields('launch', value)
  for (const name of fields.names)
    if (!KNOWN.includes(name) && !EDITORS_OWN.includes(name) && !name.startsWith('__') && !name.startsWith('internal'))
      throw new ArgumentError(`launch: unknown argument "${name}"; known are ${KNOWN.join(', ')}`)
  const program = fields.string('program')
  if (program === '') throw new ArgumentError('launch: "program" is empty; give the path of an image to boot')
  const initrd = fields.optionalString('initrd')
  const memory = parseMemory(fields)
  const cpus = fields.optionalInteger('cpus', { least: 1, most: MOST_CPUS })
  const cpu = fields.optionalString('cpu')
  const balloon = parseSwitch(fields, 'balloon')
  const virtioConsole = parseSwitch(fields, 'virtioConsole')
  const rng = parseSwitch(fields, 'rng')
  const net = fields.optionalString('net')
  const pcap = fields.optionalString('pcap')
  return {
    program,
    symbols: parseSymbols(fields),
    moduleSymbols: parsePaths(fields, 'moduleSymbols'),
    ...(initrd === undefined ? {} : { initrd }),
    cmdline: fields.optionalString('cmdline') ?? '',
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(cpu === undefined ? {} : { cpu }),
    disks: parsePaths(fields, 'disks'),
    shares: parsePaths(fields, 'shares'),
    ...(balloon === undefined ? {} : { balloon }),
    ...(virtioConsole === undefined ? {} : { virtioConsole }),
    ...(rng === undefined ? {} : { rng }),
    ...(net === undefined ? {} : { net }),
    ...(pcap === undefined ? {} : { pcap }),
    engine: fields.oneOf('engine', ['software'], 'software'),
    sourceMap: parseSourceMap(fields),
    stopOnEntry: fields.boolean('stopOnEntry', false),
    console: fields.oneOf('console', ['internalConsole', 'integratedTerminal'], 'internalConsole'),
  }
}

/** A device that is there or not, or has options as text. @returns undefined if it is not there. */
function parseSwitch(fields: Fields, name: string): string | undefined {
  const value = fields.raw(name)
  if (value === undefined || value === false) return undefined
  if (value === true) return ''
  if (typeof value !== 'string') throw fields.wrong(name, 'true, false, or options such as "transport=mmio,packed=on"')
  return value
}

/** An object from path to path, as other debuggers have it. */
function parseSourceMap(fields: Fields): SourceMapEntry[] {
  const value = fields.raw('sourceMap')
  if (value === undefined) return []
  const entries = new Fields('launch: "sourceMap"', value)
  return entries.names.map(from => ({ from, to: entries.string(from) })).sort((a, b) => b.from.length - a.from.length)
}

/** One path, or a list of paths. */
function parsePaths(fields: Fields, name: string): string[] {
  const value = fields.raw(name) ?? []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map(item => {
    if (typeof item !== 'string' || item === '') throw fields.wrong(name, 'a path or a list of paths')
    return item
  })
}

/** One path, a list of paths, or a list of `{ path, slide }`. */
function parseSymbols(fields: Fields): SymbolFileArgument[] {
  const value = fields.raw('symbols')
  if (value === undefined) return []
  const list: unknown[] = Array.isArray(value) ? value : [value]
  return list.map((item, i) => {
    if (typeof item === 'string') return { path: item, slide: 0n }
    const entry = new Fields(`launch: "symbols"[${i}]`, item)
    return { path: entry.string('path'), slide: parseSlide(entry) }
  })
}

function parseSlide(entry: Fields): bigint {
  const text = entry.optionalString('slide') ?? '0'
  if (!/^-?(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(text)) throw entry.wrong('slide', 'a number such as "0x1000000"')
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
}

/** A number of bytes, or a string with the suffix K, M or G. How much is possible is the machine's to say. */
function parseMemory(fields: Fields): number | undefined {
  const value = fields.raw('memory')
  if (value === undefined) return undefined
  const bytes = typeof value === 'number' ? value : typeof value === 'string' ? parseSize(value) : undefined
  if (bytes === undefined || !Number.isSafeInteger(bytes) || bytes <= 0)
    throw fields.wrong('memory', 'a size such as "256M" or "1G"')
  return bytes
}

function parseSize(text: string): number | undefined {
  const match = /^([0-9]+)([KMG]?)(?:i?B)?$/i.exec(text.trim())
  if (match === null) return undefined
  const unit = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2].toUpperCase()] ?? 1
  return Number(match[1]) * unit
}
