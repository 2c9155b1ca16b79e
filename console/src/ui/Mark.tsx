/** Three linked rings: the mail shirt. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <circle cx="11" cy="11.5" r="7" />
      <circle cx="21" cy="11.5" r="7" />
      <circle cx="16" cy="20.5" r="7" />
    </svg>
  );
}
