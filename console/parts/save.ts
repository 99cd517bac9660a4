import { writeCsv } from '../exact/csv.ts'

/** Hand the viewer rows as a file of CSV. */
export function saveCsv(
  name: string,
  rows: readonly (readonly (string | number | null)[])[],
): void {
  const file = new Blob([`\ufeff${writeCsv(rows)}`], { type: 'text/csv;charset=utf-8' })
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = `${name}.csv`
  link.click()
  URL.revokeObjectURL(link.href)
}
