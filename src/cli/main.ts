#!/usr/bin/env node
/** The `ringside` command: picks the subcommand, and turns errors into messages and exit statuses. */

import { workerData } from 'node:worker_threads'
import packageJson from '../../package.json' with { type: 'json' }
import { serveDisk } from '../backends/disk/worker/serve-disk.ts'
import { workerStart } from '../backends/disk/worker/worker-start.ts'
import { ImageError } from '../boot/boot-target.ts'
import { ConfigurationError, FileError } from '../machine/configuration.ts'
import { SnapshotError } from '../vmm/snapshot.ts'
import { parseDapArguments, parseRunArguments, USAGE } from './arguments.ts'
import { STATUS_DATA, STATUS_DONE, STATUS_FILE, STATUS_INTERNAL, STATUS_USAGE, UsageError } from './exit-status.ts'
import { run } from './run.ts'

async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args
  switch (command) {
    case 'run':
      if (rest.includes('--help')) break
      return run(parseRunArguments(rest), process)
    case 'dap': {
      if (rest.includes('--help')) break
      const { port } = parseDapArguments(rest)
      const { servePort, serveStandardStreams } = await import('../adapter/main.ts')
      if (port === undefined) return serveStandardStreams()
      return servePort(port, actual => process.stderr.write(`ringside: listening at 127.0.0.1:${actual}\n`))
    }
    case '--version':
      process.stdout.write(`${packageJson.version}\n`)
      return STATUS_DONE
    case '--help':
    case 'help':
      break
    case undefined:
      throw new UsageError('which command?')
    default:
      throw new UsageError(`there is no command "${command}"`)
  }
  process.stdout.write(USAGE)
  return STATUS_DONE
}

/** Writes what went wrong for a person; a fault of ours comes with its stack, which a report of it needs. */
function explain(error: unknown): number {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof UsageError || error instanceof ConfigurationError) {
    process.stderr.write(`ringside: ${message}\n${error instanceof UsageError ? `\n${USAGE}` : ''}`)
    return STATUS_USAGE
  }
  if (error instanceof ImageError || error instanceof SnapshotError || error instanceof FileError) {
    process.stderr.write(`ringside: ${message}\n`)
    return error instanceof FileError ? STATUS_FILE : STATUS_DATA
  }
  const stack = error instanceof Error ? error.stack : message
  process.stderr.write(`ringside: a fault of Ringside itself, not of the guest: ${stack}\n`)
  return STATUS_INTERNAL
}

const flushed = (stream: NodeJS.WriteStream) => new Promise<void>(resolve => stream.write('', () => resolve()))

// Threads of the bundle begin here too.
const disk = workerStart(workerData)
if (disk !== undefined) serveDisk(disk)
else {
  const status = await main(process.argv.slice(2)).catch(explain)
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit(status)
}
