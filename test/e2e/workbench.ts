/** VS Code's window in a browser, and what a person does in it. */

import { join } from 'node:path'
import { type Browser, chromium, type Locator, type Page } from 'playwright-core'

/** Milliseconds; the machine may be busy. */
const LIMIT = 60_000
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

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
    await this.page.keyboard.press('Control+P')
    await this.#quickInput(`${path}:${line}`)
    await this.page.locator(`.tab.active[data-resource-name="${path.split('/').at(-1)}"]`).waitFor()
    await this.#lineNumber(line).waitFor()
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

  disassembly(text: RegExp): Locator {
    return this.page.locator('.disassembly-view .monaco-list-row').filter({ hasText: text }).first()
  }

  /** Resolves when the terminal in front shows a text. */
  async terminalShows(text: RegExp): Promise<void> {
    await this.page.locator('.xterm-rows > div').filter({ hasText: text }).first().waitFor()
  }

  #lineNumber(line: number): Locator {
    return this.page
      .locator('.editor-instance .line-numbers')
      .filter({ hasText: new RegExp(`^${line}$`) })
      .first()
  }

  /** @param row what the row to choose says; default the first. */
  async #quickInput(text: string, row?: string): Promise<void> {
    const widget = this.page.locator('.quick-input-widget')
    await widget.locator('input').first().fill(text)
    const rows = widget.locator('.monaco-list-row')
    await (row === undefined ? rows : rows.filter({ hasText: row })).first().waitFor()
    await this.page.keyboard.press('Enter')
    await widget.waitFor({ state: 'hidden' })
  }
}
