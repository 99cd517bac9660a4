import { useState } from 'preact/hooks'
import { words } from '../words/words.ts'

/** A line for a terminal, and a button that copies it. */
export function Command({ text }: { text: string }) {
  const w = words.value
  const [copied, setCopied] = useState(false)
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text)
      setCopied(true)
    } catch {
      // The browser does not allow it: the line can still be marked by hand.
    }
  }
  return (
    <div class="command">
      <code>{text}</code>
      {/* Browsers offer it on https and on this machine alone. */}
      {isSecureContext ? (
        <button type="button" onClick={() => void copy()}>
          {copied ? w.copied : w.copy}
        </button>
      ) : null}
    </div>
  )
}
