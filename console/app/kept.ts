/**
 * What the browser keeps for the console: nothing, where it forbids that, as it may by throwing.
 */
export const kept = {
  read(name: string): string | null {
    try {
      return localStorage.getItem(name)
    } catch {
      return null
    }
  },
  write(name: string, text: string): void {
    try {
      localStorage.setItem(name, text)
    } catch {
      // It holds until the page is loaded again.
    }
  },
}
