/** `ringside run`: boots an image and is its serial console until the guest, the user or a limit ends it. */

import { readFileSync, writeFileSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { configure, FileError, type MachineConfiguration, readImage } from '../machine/configuration.ts'
import { Pc } from '../machine/pc.ts'
import type { RunArguments } from './arguments.ts'
import { ConsoleInput, type InputStream } from './console-input.ts'
import { ConsoleOutput } from './console-output.ts'
import { PortFiles } from './port-files.ts'
import { RunSession } from './run-session.ts'
import { statistics } from './statistics.ts'
import { TextWatch } from './text-watch.ts'

export interface RunStreams {
  readonly stdin: InputStream
  readonly stdout: Writable
  readonly stderr: Writable
}

/** @returns the exit status. Throws the typed errors of configuration, loading and snapshots. */
export async function run(args: RunArguments, streams: RunStreams): Promise<number> {
  const output = new ConsoleOutput(streams.stdout)
  const debugOutput = new ConsoleOutput(streams.stderr)
  const watch = args.until === undefined ? undefined : new TextWatch(args.until)
  const ports = args.consoleFile === undefined ? undefined : new PortFiles(args.consoleFile)
  const pc = await Pc.create(configurationOf(args), {
    console: byte => {
      output.push(byte)
      if (watch?.push(byte)) pc.vm.requestStop({ kind: 'requested' })
    },
    debugConsole: byte => debugOutput.push(byte),
    port: (port, bytes) => ports?.write(port, bytes),
    warn: message => streams.stderr.write(`ringside: ${message}\n`),
  })
  try {
    return await runMachine(args, streams, pc, [output, debugOutput])
  } finally {
    pc.dispose()
    ports?.close()
  }
}

async function runMachine(
  args: RunArguments,
  streams: RunStreams,
  pc: Pc,
  outputs: readonly ConsoleOutput[],
): Promise<number> {
  if (args.restore === undefined) pc.boot()
  else pc.restore(args.restore, readSnapshot(args.restore))

  const session = new RunSession(args, pc, new ConsoleInput(streams.stdin), outputs)
  const status = await session.run(message => streams.stderr.write(message))
  if (args.save !== undefined) writeFile(args.save, pc.save())
  if (args.stats !== undefined)
    writeFile(args.stats, [
      new TextEncoder().encode(`${JSON.stringify(statistics(pc, session.seconds), undefined, 2)}\n`),
    ])
  return status
}

/** The machine that the arguments ask for. Throws `FileError` and `ConfigurationError`. */
export function configurationOf(args: RunArguments): MachineConfiguration {
  return configure({
    image: readImage(args.image, 'image'),
    initrd: args.initrd === undefined ? undefined : readImage(args.initrd, 'initrd'),
    cmdline: args.cmdline,
    protocol: args.protocol,
    memory: args.memory,
    cpus: args.cpus,
    cpu: args.cpu,
    devices: args.devices,
    capture: args.pcap,
  })
}

function readSnapshot(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new FileError(`snapshot "${path}" can't be read: ${error instanceof Error ? error.message : error}`)
  }
}

function writeFile(path: string, pieces: readonly Uint8Array[]): void {
  try {
    writeFileSync(path, Buffer.concat(pieces))
  } catch (error) {
    throw new FileError(`"${path}" can't be written: ${error instanceof Error ? error.message : error}`)
  }
}
