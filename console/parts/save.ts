import { writeCsv } from '../exact/csv.ts'

/** Hand the viewer these columns of things as a file of CSV. */
export function saveCsv<Column extends string>(
  name: string,
  columns: readonly Column[],
  things: readonly Readonly<Record<Column, string | number | null>>[],
): void {
  const rows = [columns, ...things.map((one) => columns.map((column) => one[column]))]
  const file = new Blob([`\ufeff${writeCsv(rows)}`], { type: 'text/csv;charset=utf-8' })
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = `${name}.csv`
  link.click()
  URL.revokeObjectURL(link.href)
}
