/** VS Code's window in a browser, and what a person does in it. */

import { join } from 'node:path'
import { type Browser, chromium, type FrameLocator, type Locator, type Page } from 'playwright-core'

/** Milliseconds; the machine may be busy. */
const LIMIT = 60_000
/** Of Chromium. */
export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Milliseconds in which a step is shown, if its key was heard. */
const STEP_LIMIT = 5000
const MOST_TRIES = 3

export class Workbench {
  readonly page: Page
  readonly #browser: Browser
  readonly #directory: string
  #shots = 0

  private constructor(browser: Browser, page: Page, directory: string) {
    this.#browser = browser
    this.page = page
    this.#directory = directory
  }

  /** @param directory for screenshots. */
  static async open(executable: string, url: string, folder: string, directory: string): Promise<Workbench> {
    const browser = await chromium.launch({ executablePath: executable, headless: true, args: FLAGS })
    const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } })
    page.setDefaultTimeout(LIMIT)
    await page.goto(`${url}/?folder=${encodeURIComponent(folder)}`)
    await page.locator('.monaco-workbench .explorer-folders-view .monaco-list-row').first().waitFor()
    return new Workbench(browser, page, directory)
  }

  close(): Promise<void> {
    return this.#browser.close()
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: join(this.#directory, `${++this.#shots}-${name}.png`) })
  }

  /** Opens a file of the folder, its cursor on a line. */
  async openFile(path: string, line: number): Promise<void> {
    const name = path.split('/').at(-1)
    await this.page.keyboard.press('Control+P')
    // Until the files are found it has those that were open before.
    await this.#quickInput(`${path}:${line}`, name)
    await this.page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor()
    await this.#lineNumber(line).waitFor()
  }

  /** Resolves when the file in front has one error, which is shown with a text. */
  async onlyProblemIs(text: string): Promise<void> {
    await this.page.locator('.editor-instance .squiggly-error').first().waitFor()
    await this.page.keyboard.press('F8')
    const problem = this.page
      .locator('.peekview-widget')
      .filter({ hasText: text })
      .filter({ hasText: '1 of 1 problem' })
    await problem.first().waitFor()
    await this.page.keyboard.press('Escape')
  }

  /** Asks what is known of what the cursor is at. */
  async hoverShows(text: RegExp): Promise<void> {
    await this.command('Show or Focus Hover')
    await this.page.locator('.monaco-hover').filter({ hasText: text }).first().waitFor()
  }

  /** A click in the gutter, left of the line's number. */
  async breakAt(line: number): Promise<void> {
    const margin = await this.page.locator('.editor-instance .margin').first().boundingBox()
    const number = await this.#lineNumber(line).boundingBox()
    if (margin === null || number === null) throw new Error(`line ${line} is not to be seen`)
    const [x, y] = [margin.x + 10, number.y + number.height / 2]
    const deadline = Date.now() + LIMIT
    // Clicks are lost until the debugger's part of the workbench is there, which shows a hint under the mouse.
    while (!(await this.page.locator('.codicon-debug-hint').first().isVisible())) {
      if (Date.now() > deadline) throw new Error('the gutter offers no breakpoint')
      await this.page.mouse.move(x + 200, y)
      await this.page.mouse.move(x, y)
      await this.page.waitForTimeout(250)
    }
    await this.page.mouse.click(x, y)
    await this.page.locator('.codicon-debug-breakpoint, .codicon-debug-breakpoint-unverified').first().waitFor()
  }

  async showDebugView(): Promise<void> {
    await this.page.keyboard.press('Control+Shift+D')
  }

  async press(key: string): Promise<void> {
    await this.page.keyboard.press(key)
  }

  /** Starts one of the folder's configurations by its name. */
  async start(name: string): Promise<void> {
    await this.page.keyboard.press('F1')
    await this.#quickInput('>Debug: Select and Start Debugging', 'Select and Start Debugging', true)
    const widget = this.page.locator('.quick-input-widget')
    await widget.locator('.monaco-list-row').filter({ hasText: name }).first().click()
    await this.page.locator('.debug-toolbar').waitFor()
  }

  /**
   * A step by its key: the count of instructions in the status bar moves on. That is there before VS Code itself is done
   * with the stop; a key that comes in between is lost, and pressed again.
   */
  async step(key: string): Promise<void> {
    const status = this.page.locator('.statusbar-item').filter({ hasText: /[\d,]+ instructions/ })
    const before = await status.first().innerText()
    const moved = status.filter({ hasNotText: before.trim() }).first()
    for (let tries = 0; !(await moved.isVisible()); tries++) {
      if (tries === MOST_TRIES) throw new Error(`${key} makes no step`)
      await this.page.keyboard.press(key)
      await moved.waitFor({ timeout: STEP_LIMIT }).catch(() => undefined)
    }
  }

  /** Ends the session. */
  async stop(): Promise<void> {
    await this.page.keyboard.press('Shift+F5')
    await this.ended()
  }

  /** Into the terminal in front. */
  async type(text: string): Promise<void> {
    await this.page.locator('.terminal-wrapper.active .xterm-screen').first().click()
    await this.page.keyboard.type(text, { delay: 30 })
  }

  /** The debugger waits: there is something to continue. */
  async stopped(): Promise<void> {
    await this.page.locator('.debug-toolbar .codicon-debug-continue').waitFor()
    await this.row('call-stack', /./).waitFor()
  }

  async ended(): Promise<void> {
    await this.page.locator('.debug-toolbar').waitFor({ state: 'hidden' })
  }

  /** A command by its title. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press('F1')
    await this.#quickInput(`>${title}`, title)
  }

  /** A row of a view of the debugger. */
  row(view: 'variables' | 'call-stack' | 'breakpoints', text: RegExp): Locator {
    return this.page.locator(`.debug-${view} .monaco-list-row`).filter({ hasText: text }).first()
  }

  /** Opens a row that has others under it. */
  async expand(row: Locator): Promise<void> {
    await row.waitFor()
    if ((await row.getAttribute('aria-expanded')) === 'false') await row.click()
  }

  /** Opens the container of our views. */
  async showMachine(): Promise<void> {
    await this.page.locator('.sidebar .pane-header, .activitybar').first().waitFor()
    const open = this.page.locator('.sidebar .composite.title').filter({ hasText: /ringside/i })
    if (!(await open.isVisible())) await this.page.locator('.activitybar [aria-label="Ringside"]').first().click()
    await open.waitFor()
  }

  /** A view of the container. */
  pane(title: string): { row(text: RegExp): Locator } {
    const rows = this.#pane(title).locator('.monaco-list-row')
    return { row: text => rows.filter({ hasText: text }).first() }
  }

  /** Sets a register in the view of processors, by the pencil of its row. @param value hexadecimal, with `0x` */
  async setRegister(name: string, value: string): Promise<void> {
    const row = this.pane('Processor').row(new RegExp(`^${name}\\s*0x`))
    await row.hover()
    await row.locator('.codicon-edit').click()
    const widget = this.page.locator('.quick-input-widget')
    await widget.locator('input').first().fill(value)
    await this.page.keyboard.press('Enter')
    await widget.waitFor({ state: 'hidden' })
    await this.pane('Processor')
      .row(new RegExp(`^${name}\\s*0x0*${value.slice(2)}(?![0-9a-f])`))
      .waitFor()
  }

  async collapse(...titles: readonly string[]): Promise<void> {
    for (const title of titles) await this.#toggle(title, 'true')
  }

  async expandPanes(...titles: readonly string[]): Promise<void> {
    for (const title of titles) await this.#toggle(title, 'false')
  }

  /** What is inside of the one webview. */
  webview(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame')
  }

  /** Drags the edge of the side bar to the right. */
  async widenSideBar(): Promise<void> {
    const bar = await this.page.locator('.sidebar').first().boundingBox()
    if (bar === null) throw new Error('there is no side bar')
    const [x, y] = [bar.x + bar.width, bar.y + bar.height / 2]
    await this.page.mouse.move(x, y)
    await this.page.mouse.down()
    await this.page.mouse.move(x + 320, y, { steps: 8 })
    await this.page.mouse.up()
  }

  /** @param kind the window's class with that theme: `vs`, `vs-dark` or `hc-black` */
  async theme(name: string, kind: string): Promise<void> {
    await this.page.keyboard.press('F1')
    const widget = this.page.locator('.quick-input-widget')
    const input = widget.locator('input').first()
    // A click on the row: the first one may be another command, which browses for more themes.
    const choose = (label: string) => widget.locator('.monaco-list-row').filter({ hasText: label }).first().click()
    await input.fill('>Preferences: Color Theme')
    await choose('Preferences: Color Theme')
    await widget.locator('.monaco-list-row').filter({ hasText: 'Light Modern' }).first().waitFor()
    await input.fill(name)
    await choose(name)
    await widget.waitFor({ state: 'hidden' })
    await this.page.locator(`.monaco-workbench.${kind}`).waitFor()
    // The page of a webview takes the new colours a little later.
    await this.page.waitForTimeout(800)
  }

  async statusShows(text: RegExp): Promise<void> {
    await this.page.locator('.statusbar-item').filter({ hasText: text }).first().waitFor()
  }

  disassembly(text: RegExp): Locator {
    return this.page.locator('.disassembly-view .monaco-list-row').filter({ hasText: text }).first()
  }

  /** Resolves when the terminal in front shows a text. */
  async terminalShows(text: RegExp): Promise<void> {
    await this.page.locator('.xterm-rows > div').filter({ hasText: text }).first().waitFor()
  }

  #pane(title: string): Locator {
    return this.page
      .locator('.sidebar .pane')
      .filter({ has: this.page.locator(`.pane-header[aria-label="${title} Section"]`) })
  }

  async #toggle(title: string, expanded: 'true' | 'false'): Promise<void> {
    const header = this.#pane(title).locator('.pane-header')
    if ((await header.getAttribute('aria-expanded')) === expanded) await header.click()
  }

  #lineNumber(line: number): Locator {
    return this.page
      .locator('.editor-instance .line-numbers')
      .filter({ hasText: new RegExp(`^${line}$`) })
      .first()
  }

  /** @param row what the row to choose says; default the first. @param asks whether it is followed by a question. */
  async #quickInput(text: string, row?: string, asks = false): Promise<void> {
    const widget = this.page.locator('.quick-input-widget')
    await widget.locator('input').first().fill(text)
    const rows = widget.locator('.monaco-list-row')
    await (row === undefined ? rows : rows.filter({ hasText: row })).first().waitFor()
    await this.page.keyboard.press('Enter')
    if (!asks) await widget.waitFor({ state: 'hidden' })
  }
}
