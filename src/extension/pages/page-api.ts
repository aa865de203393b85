/** What a page has of VS Code: messages both ways, and a state that outlives the page. Runs in a webview. */

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void
  getState(): unknown
  setState(state: unknown): void
}

export interface PageApi<FromPage> {
  send(message: FromPage): void
  /** What was kept last, by any version of the page: to be checked. */
  saved(): unknown
  save(state: object): void
}

/** To be called once. @param receive gets every message that comes to the window, whoever sent it. */
export function connectPage<FromPage>(receive: (message: unknown) => void): PageApi<FromPage> {
  const api = acquireVsCodeApi()
  window.addEventListener('message', ({ data }: MessageEvent<unknown>) => receive(data))
  return {
    send: message => api.postMessage(message),
    saved: () => api.getState(),
    save: state => api.setState(state),
  }
}

/** Where {@link pageHtml} has left room. */
export function pageRoot(): HTMLElement {
  const root = document.getElementById('page')
  if (root === null) throw new Error('the page has no room')
  return root
}
