/**
 * `npm run test:e2e`: the packaged extension in a real VS Code workbench, driven by a browser. Screenshots are left in
 * a temporary directory, which is printed. Arguments are names of scenarios; default all. Exit status 1 when a scenario failed, 77 when it could not be run here.
 */

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installTools, NotInstalled } from './install.ts'

const STATUS_SKIPPED = 77
const root = fileURLToPath(new URL('../..', import.meta.url))

try {
  const tools = installTools()
  const directory = mkdtempSync(join(tmpdir(), 'ringside-e2e-'))
  process.stdout.write(`screenshots: ${directory}\n`)
  const extension = join(directory, 'ringside.vsix')
  execFileSync(process.execPath, [join(root, 'scripts', 'package.ts'), extension], { stdio: 'inherit' })
  // These import the browser's driver, which is there only now.
  const { debugTheTour } = await import('./tour.ts')
  const { useDevices } = await import('./devices.ts')
  const { debugInBrowser } = await import('./in-browser.ts')
  const all = { tour: debugTheTour, devices: useDevices, browser: debugInBrowser }
  const wanted = process.argv.slice(2)
  const scenarios = Object.entries(all).filter(([name]) => wanted.length === 0 || wanted.includes(name))
  for (const [index, [name, scenario]] of scenarios.entries()) {
    process.stdout.write(`${name}\n`)
    const work = join(directory, `work-${index + 1}`)
    mkdirSync(work)
    await scenario({ tools, directory, work, extension, guests: join(root, 'guests') })
  }
  rmSync(extension)
  process.stdout.write(`${scenarios.length} passed, 0 failed\n`)
} catch (error) {
  if (error instanceof NotInstalled) {
    process.stdout.write(`The scenario was not run: ${error.message}\n`)
    process.exitCode = STATUS_SKIPPED
  } else {
    process.stderr.write(`The scenario failed: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`)
    process.stdout.write('0 passed, 1 failed\n')
    process.exitCode = 1
  }
}
