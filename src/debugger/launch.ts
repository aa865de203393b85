/** Puts a machine together, loads it, and hands it to a debugger, stopped before its first instruction. */

import { parseBalloon, parseConsole, parseShare } from '../machine/channel-configuration.ts'
import { configure, FileError, readImage } from '../machine/configuration.ts'
import { type DeviceConfiguration, parseEntropy } from '../machine/device-configuration.ts'
import { parseDisk } from '../machine/disk-configuration.ts'
import { parseNet } from '../machine/net-configuration.ts'
import { Pc } from '../machine/pc.ts'
import { DebugFile } from '../symbols/dwarf/debug-file.ts'
import { ElfError } from '../symbols/elf/elf-error.ts'
import { ElfFile } from '../symbols/elf/elf-file.ts'
import { Debugger } from './debugger.ts'
import { kernelIdentity, mismatch } from './linux/kernel-image.ts'
import { recognizeLinux } from './linux/kernel-tables.ts'
import { findModuleFiles } from './linux/module-files.ts'
import { SymbolBook } from './symbol-book.ts'
import { VmTarget } from './vm-target.ts'

export interface LaunchOptions {
  /** Path of the image to boot. */
  readonly program: string
  readonly symbols: readonly SymbolFile[]
  /** Files of Linux modules (`.ko`), and directories that have some. */
  readonly moduleSymbols?: readonly string[]
  /** Path. */
  readonly initrd?: string
  readonly cmdline: string
  /** Bytes. */
  readonly memory?: number
  readonly cpus?: number
  readonly cpu?: string
  /** Each as `--disk` of the command has it. */
  readonly disks?: readonly string[]
  /** Each as `--share` of the command has it. */
  readonly shares?: readonly string[]
  /** As `--balloon=` of the command has it; no balloon if absent. */
  readonly balloon?: string
  /** Options of `--console` without its file; no virtio console if absent. */
  readonly virtioConsole?: string
  /** As `--rng=` of the command has it; no entropy device if absent. */
  readonly rng?: string
  /** As `--net` of the command has it; no network if absent. */
  readonly net?: string
  /** File that what passes the network is written to. */
  readonly pcap?: string
}

export interface SymbolFile {
  readonly path: string
  /** Added to every address of the file. */
  readonly slide: bigint
}

/**
 * Called between two pieces of work that take a while; an exception ends the launch.
 * @param done part of the whole, from 0 to 1
 */
export type Turn = (done: number) => Promise<void>

/** Throws `FileError`, `ConfigurationError`, `ImageError` and `ElfError`, whose messages are for the user. */
export async function launch(options: LaunchOptions, turn: Turn = async () => {}): Promise<Debugger> {
  const configuration = configure({
    image: readImage(options.program, 'program'),
    initrd: options.initrd === undefined ? undefined : readImage(options.initrd, 'initrd'),
    cmdline: options.cmdline,
    memory: options.memory,
    cpus: options.cpus,
    cpu: options.cpu,
    devices: devicesOf(options),
    capture: options.pcap,
  })
  const { image } = configuration
  const linux = recognizeLinux(image.name, image.bytes)
  const modulePaths = findModuleFiles(options.moduleSymbols ?? [])
  const symbols = new SymbolBook()
  try {
    for (const [index, file] of options.symbols.entries()) {
      await turn(index / options.symbols.length)
      addSymbols(symbols, file)
    }
    await turn(1)
  } catch (error) {
    symbols.close()
    throw error
  }
  if (options.symbols.length === 0 && ElfFile.hasMagic(image.bytes)) addOwnSymbols(symbols, image.name, image.bytes)
  if (linux !== undefined) refuseOtherKernels(symbols, image.bytes)
  const hasTypes = symbols.modules.some(({ role, file }) => role === 'kernel' && file?.hasDebugInfo)
  if (modulePaths.length > 0 && !hasTypes)
    symbols.complain("modules are placed by the kernel's own types: a vmlinux with debugging information is missing")

  const outputs = {
    console: (_byte: number) => {},
    debugConsole: (_byte: number) => {},
    port: (_port: string, _bytes: Uint8Array) => {},
    warn: (_message: string) => {},
  }
  const pc = await Pc.create(configuration, {
    console: byte => outputs.console(byte),
    debugConsole: byte => outputs.debugConsole(byte),
    port: (port, bytes) => outputs.port(port, bytes),
    warn: message => outputs.warn(message),
  })
  try {
    pc.boot()
    const target = new VmTarget(pc)
    outputs.console = byte => target.print('serial', byte)
    outputs.debugConsole = byte => target.print('debug-console', byte)
    outputs.port = (port, bytes) => {
      for (const byte of named(port, bytes)) target.print('virtio-console', byte)
    }
    outputs.warn = message => {
      for (const byte of new TextEncoder().encode(`ringside: ${message}\n`)) target.print('debug-console', byte)
    }
    const isFixed = /(^| )nokaslr( |$)/.test(options.cmdline)
    return new Debugger(target, symbols, { image: linux, isFixed, modulePaths })
  } catch (error) {
    pc.dispose()
    symbols.close()
    throw error
  }
}

function devicesOf({
  disks = [],
  shares = [],
  rng,
  balloon,
  virtioConsole,
  net,
}: LaunchOptions): DeviceConfiguration[] {
  const devices = [
    ...disks.map(disk => parseDisk(disk, 'disks')),
    net === undefined ? undefined : parseNet(net, 'net'),
    rng === undefined ? undefined : parseEntropy(rng, 'rng'),
    ...shares.map(share => parseShare(share, 'shares')),
    balloon === undefined ? undefined : parseBalloon(balloon, 'balloon'),
    virtioConsole === undefined ? undefined : parseConsole(virtioConsole, 'virtioConsole'),
  ]
  return devices.filter(device => device !== undefined)
}

/** What comes from a port beside the console itself says so, piece by piece. */
function named(port: string, bytes: Uint8Array): Uint8Array {
  if (port === '') return bytes
  const end = bytes.at(-1) === 0x0a ? '' : '\n'
  return Buffer.concat([Buffer.from(`${port}: `), bytes, Buffer.from(end)])
}

function addSymbols(symbols: SymbolBook, { path, slide }: SymbolFile): void {
  try {
    const file = DebugFile.open(path)
    file.slide = slide
    symbols.addFile(file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new FileError(`symbols "${path}" can't be read: ${reason}`, { cause: error })
  }
}

/** A `vmlinux` of another build than the bzImage; what is no kernel is not compared. */
function refuseOtherKernels(symbols: SymbolBook, image: Uint8Array): void {
  const kernels = symbols.modules.filter(({ role }) => role === 'kernel')
  if (kernels.length === 0) return
  const identity = kernelIdentity(image)
  for (const { file } of kernels) {
    const problem = file && mismatch(identity, file)
    if (file !== undefined && problem !== undefined) symbols.refuse(file, problem)
  }
}

/** An image is worth booting without its symbol table: a broken one only leaves its functions without names. */
function addOwnSymbols(symbols: SymbolBook, name: string, bytes: Uint8Array): void {
  try {
    symbols.addElf(name, bytes)
  } catch (error) {
    if (!(error instanceof ElfError)) throw error
  }
}
