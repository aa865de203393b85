/**
 * `npm run demo [tour | modes | linux]`: guests under the debug adapter, and the conversation with it printed for a
 * newcomer. Without an argument the teaching kernels, and Linux where it is at hand. Exit status 1 when something did not happen.
 */

import { showLinux, whyNoLinux } from './demo/linux.ts'
import { showModes } from './demo/modes.ts'
import { Page } from './demo/page.ts'
import { showTour } from './demo/tour.ts'

// A reader that has seen enough, as in `npm run demo | head`, ends the demo.
process.stdout.on('error', () => process.exit(1))

const page = new Page(text => process.stdout.write(text), process.stdout.isTTY && process.stdout.hasColors())
const wanted = process.argv[2]
const started = performance.now()

try {
  if (wanted !== undefined && !['tour', 'modes', 'linux'].includes(wanted))
    throw new Error(`"${wanted}" is no part of the demo: say tour, modes, linux, or nothing for all`)
  page.say(
    'Ringside runs a kernel on a processor made of software, under a hypervisor, and lets a debugger look at all of ' +
      'it. This is a conversation with its debug adapter, in the protocol that editors speak (DAP):',
  )
  page.asked('a request, as an editor sends it', undefined)
  page.answered('what comes back: the response, or an event')
  page.source(1, 'the line of source that an editor shows then')
  page.console("the guest's console, its serial port\n")

  const shows = (part: string): boolean => wanted === undefined || wanted === part
  if (shows('tour')) await showTour(page)
  if (shows('modes')) await showModes(page)
  const why = whyNoLinux()
  if (wanted === 'linux' && why !== undefined) throw new Error(why)
  if (shows('linux') && why === undefined) await showLinux(page)
  page.gap()
  if (shows('linux') && why !== undefined) page.say(`The last part, with Linux, was left out: ${why}.`)
  page.say(`All of this happened in ${((performance.now() - started) / 1000).toFixed(1)} seconds.`)
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`\nThe demo failed at ${page.place}: ${message}\n`)
  process.exitCode = 1
}
