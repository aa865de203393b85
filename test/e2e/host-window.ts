/** A window with an extension that tests another one; the page answers what it asks. */

import { type Browser, chromium, type Page } from 'playwright-core'
import type { PageQuestion } from '../host/page-questions.ts'
import { FLAGS } from './workbench.ts'

/** Milliseconds for one answer, and for the window to come. */
const LIMIT = 10_000
const LOADING = 90_000
const SIZE = { width: 1600, height: 1400 }

export interface HostWindowOptions {
  /** Of the server. */
  readonly url: string
  readonly folder: string
  /** What the workbench and the extensions log. */
  log(line: string): void
}

export class HostWindow {
  readonly #browser: Browser
  readonly #page: Page

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser
    this.#page = page
  }

  static async open(executable: string, { url, folder, log }: HostWindowOptions): Promise<HostWindow> {
    const browser = await chromium.launch({ executablePath: executable, headless: true, args: FLAGS })
    const page = await browser.newPage({ viewport: SIZE })
    page.setDefaultTimeout(LIMIT)
    page.on('console', message => log(message.text()))
    try {
      await page.goto(`${url}/?${new URLSearchParams({ folder })}`, { timeout: LOADING })
      return new HostWindow(browser, page)
    } catch (error) {
      await browser.close()
      throw error
    }
  }

  /** Rejects when there is no such element within some seconds. */
  async answer(question: Exclude<PageQuestion, { ask: 'report' | 'note' | 'end' }>): Promise<unknown> {
    switch (question.ask) {
      case 'texts':
        return await this.#page.locator(question.selector).filter({ visible: true }).allInnerTexts()
      case 'pages':
        return await this.#pages()
      case 'click':
        return await this.#page.locator(question.selector).filter({ hasText: question.text }).first().click()
      case 'type':
        return await this.#page.keyboard.type(question.text)
      case 'press':
        return await this.#page.keyboard.press(question.key)
      case 'lastChange':
        return await this.#lastChange()
    }
  }

  async screenshot(path: string): Promise<void> {
    await this.#page.screenshot({ path })
  }

  close(): Promise<void> {
    return this.#browser.close()
  }

  async #pages(): Promise<string[]> {
    const room = (): string | undefined => document.getElementById('page')?.innerText
    const found = await Promise.all(this.#page.frames().map(frame => frame.evaluate(room).catch(() => undefined)))
    return found.filter(text => text !== undefined)
  }

  async #lastChange(): Promise<number> {
    const times = await Promise.all(this.#page.frames().map(frame => frame.evaluate(lastChangeHere).catch(() => 0)))
    return Math.max(...times)
  }
}

declare global {
  interface Window {
    /** Milliseconds since 1970. */
    lastChange?: number
  }
}

/**
 * Runs in each frame, and watches it from the first question on. The whole of a webview is a view; of the workbench only
 * the side bar shows views.
 */
function lastChangeHere(): number {
  if (window.lastChange !== undefined) return window.lastChange
  window.lastChange = 0
  const isWorkbench = window.top === window
  new MutationObserver(records => {
    const inView = ({ target }: MutationRecord): boolean =>
      (target instanceof Element ? target : target.parentElement)?.closest('.sidebar .pane-body') !== null
    if (!isWorkbench || records.some(inView)) window.lastChange = Date.now()
  }).observe(document, { subtree: true, childList: true, characterData: true })
  return window.lastChange
}
