/** Puts together what the scenario needs: a browser from Debian, a workbench and the browser's driver from npm. */

import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Something can't be had on this machine; the message says what, and why. */
export class NotInstalled extends Error {}

const HERE = dirname(fileURLToPath(import.meta.url))
const MODULES = join(HERE, 'node_modules')
/** Debian's start script first asks for more of a desktop than a test has. */
const CHROMIUM = ['/usr/lib/chromium/chromium', '/usr/lib/chromium-browser/chromium-browser', '/usr/bin/chromium']
/** Written when the last step is done. */
const COMPLETE = join(MODULES, '.complete')

export interface Tools {
  /** The browser. */
  readonly chromium: string
  /** The Node.js that code-server wants: another one answers every page with an error. */
  readonly node: string
  /** code-server's entry point. */
  readonly codeServer: string
}

/** Installs what is missing; throws {@link NotInstalled}. */
export function installTools(): Tools {
  const chromium = findChromium() ?? installChromium()
  if (!existsSync(COMPLETE)) installWorkbench()
  return {
    chromium,
    node: join(MODULES, 'node', 'bin', 'node'),
    codeServer: join(MODULES, 'code-server', 'out', 'node', 'entry.js'),
  }
}

const findChromium = (): string | undefined => CHROMIUM.find(path => existsSync(path))

function installChromium(): string {
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  for (const args of [
    ['update', '-qq'],
    ['install', '-y', '-qq', 'chromium'],
  ]) {
    const [command, ...rest] = [...asRoot, 'apt-get', ...args]
    run('Chromium', command, rest)
  }
  const chromium = findChromium()
  if (chromium === undefined) throw new NotInstalled(`Chromium is at none of ${CHROMIUM.join(', ')}`)
  return chromium
}

/** Without scripts: those of code-server compile for minutes what the scenario does not use. */
function installWorkbench(): void {
  run('code-server', 'npm', ['ci', '--ignore-scripts'], HERE)
  // The package is a shell around its own script, which puts the binary in place.
  run('Node.js', 'npm', ['rebuild', 'node'], HERE)
  // VS Code lies in code-server with a shrinkwrap of its own.
  const vscode = join(MODULES, 'code-server', 'lib', 'vscode')
  run('VS Code', 'npm', ['install', '--omit=dev', '--ignore-scripts'], vscode)
  writeFileSync(COMPLETE, '')
}

function run(what: string, command: string, args: readonly string[], cwd = HERE): void {
  process.stdout.write(`installing ${what}: ${command} ${args.join(' ')}\n`)
  try {
    execFileSync(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    throw new NotInstalled(`${what} can't be installed here: ${said.trim().split('\n').slice(-3).join(' ')}`)
  }
}
