/** What a page has of VS Code: messages both ways, and a state that outlives the page. Runs in a webview. */

import { useEffect } from 'preact/hooks'

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void
  getState(): unknown
  setState(state: unknown): void
}

export interface PageApi<FromPage, ToPage> {
  send(message: FromPage): void
  /** What was kept last, by any version of the page: to be checked. */
  saved(): unknown
  save(state: object): void
  /** Hook of the page's outermost component, whose messages these are; once it is drawn, the page says that it is ready. */
  useMessages(receive: (message: ToPage) => void): void
}

/** To be called once. @param isMessage tells the extension's messages from what else comes to a window. */
export function connectPage<FromPage, ToPage>(
  isMessage: (value: unknown) => value is ToPage,
): PageApi<FromPage, ToPage> {
  const api = acquireVsCodeApi()
  let receiver: ((message: ToPage) => void) | undefined
  window.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (isMessage(data)) receiver?.(data)
  })
  return {
    send: message => api.postMessage(message),
    saved: () => api.getState(),
    save: state => api.setState(state),
    useMessages(receive) {
      // Each drawing has its own, which knows the state that was drawn.
      receiver = receive
      useEffect(() => api.postMessage({ type: 'ready' }), [])
    },
  }
}

/** Where {@link pageHtml} has left room. */
export function pageRoot(): HTMLElement {
  const root = document.getElementById('page')
  if (root === null) throw new Error('the page has no room')
  return root
}
