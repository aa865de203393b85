;;; The teaching kernel debugged by Emacs's dap-mode: what a person would do, by the commands that a person would call.
;;; Arguments after `--`: node, the command's main file, the folder of the guests. Prints `ok WHAT` for what was seen,
;;; and `done`; ends with status 1 at the first thing that is not as it should be.

(require 'cl-lib)
;; Debian 12's lsp-treemacs asks for a setting that its treemacs does not have.
(defvar treemacs-text-scale nil)
(setq dap-auto-configure-features nil
      dap-auto-show-output nil
      ;; The serial console as the terminal would show it: without what the debugger says.
      dap-output-buffer-filter '("stdout"))
(require 'dap-mode)
(require 'dap-ui)

(defun tour-argument (index) (nth index (cdr (member "--" command-line-args))))
;; They are no files to visit.
(setq command-line-args-left nil)
(defconst tour-guests (file-name-as-directory (tour-argument 2)))
(defconst tour-patience 60 "Seconds to wait for anything at all: a hang fails, slowness does not.")

(defun tour-say (what) (princ (format "ok %s\n" what)))

(defun tour-expect (what actual expected)
  "Says WHAT was seen if ACTUAL equals EXPECTED, or ends."
  (unless (equal actual expected) (error "%s: %S instead of %S" what actual expected))
  (tour-say what))

(defun tour-wait (what condition)
  "Handles messages until CONDITION is met; its value."
  (let ((deadline (+ (float-time) tour-patience)) value)
    (while (not (setq value (funcall condition)))
      (when (> (float-time) deadline) (error "No %s within %s seconds" what tour-patience))
      (accept-process-output nil 0.01))
    value))

(defun tour-file (name) (concat tour-guests "tour/" name))

(defun tour-line (name text)
  "The number of the line of a source of the tour that has TEXT."
  (with-current-buffer (find-file-noselect (tour-file name))
    (save-excursion
      (goto-char (point-min))
      (search-forward text)
      (line-number-at-pos))))

(defun tour-toggle (name text)
  "Sets or deletes the breakpoint of the line with TEXT, as from the gutter."
  (find-file (tour-file name))
  (goto-char (point-min))
  (search-forward text)
  (dap-breakpoint-toggle))

(defun tour-session () (dap--cur-session))
(defun tour-frame () (dap--debug-session-active-frame (tour-session)))

(defun tour-stopped ()
  "Waits until dap-mode shows a frame; `FUNCTION FILE:LINE' of it, which is also where the cursor is."
  (tour-wait "stop" (lambda ()
                      (unless (dap--session-running (tour-session)) (error "The session has ended"))
                      (tour-frame)))
  (let ((frame (tour-frame)))
    (if (not (equal (gethash "line" frame) (line-number-at-pos)))
        (error "The cursor is at line %s, the frame at %s" (line-number-at-pos) (gethash "line" frame)))
    (format "%s %s:%s" (gethash "name" frame) (file-name-nondirectory buffer-file-name) (line-number-at-pos))))

(defun tour-frames ()
  (mapcar (lambda (frame) (gethash "name" frame))
          (gethash (dap--debug-session-thread-id (tour-session))
                   (dap--debug-session-thread-stack-frames (tour-session)))))

(defun tour-locals (&rest path)
  "Labels that dap-ui's view of variables shows below PATH, itself a list of labels' beginnings."
  ;; A view that is on no screen can't be brought up to date, only made.
  (when (get-buffer dap-ui--locals-buffer) (kill-buffer dap-ui--locals-buffer))
  (with-current-buffer (get-buffer-create dap-ui--locals-buffer) (dap-ui-locals--refresh))
  (let ((nodes (with-current-buffer dap-ui--locals-buffer lsp-treemacs-tree)))
    (dolist (label path)
      (let ((node (cl-find-if (lambda (each) (string-prefix-p label (tour-label each))) nodes)))
        (unless node (error "%s is not in %S" label (mapcar #'tour-label nodes)))
        (setq nodes (funcall (plist-get node :children) nil))))
    (mapcar #'tour-label nodes)))

(defun tour-label (node)
  (substring-no-properties (or (plist-get node :label) (plist-get node :key))))

(defun tour-evaluate (expression)
  "What dap-mode shows for EXPRESSION in the current frame."
  (gethash "result" (dap-request (tour-session) "evaluate" :expression expression :context "watch"
                                 :frameId (gethash "id" (tour-frame)))))

(defun tour-play ()
  (dap-register-debug-provider
   "ringside"
   (lambda (arguments)
     (append arguments (list :dap-server-path (list (tour-argument 0) (tour-argument 1) "dap")))))
  (tour-toggle "kernel.c" "page_table_root()")
  (dap-debug (list :type "ringside" :request "launch" :name "tour" :memory "64M"
                   :program (concat tour-guests "prebuilt/tour.elf")))
  (tour-expect "a breakpoint by source line stops" (tour-stopped)
               (format "kernel_main kernel.c:%s" (tour-line "kernel.c" "page_table_root()")))
  (tour-expect "the breakpoint is verified"
               (mapcar (lambda (breakpoint) (gethash "verified" breakpoint))
                       (gethash (tour-file "kernel.c") (dap--debug-session-breakpoints (tour-session))))
               '(t))
  (tour-expect "the processor is a thread"
               (mapcar (lambda (thread) (gethash "name" thread))
                       (gethash "threads" (dap-request (tour-session) "threads")))
               '("vCPU 0"))

  (dap-next (tour-session))
  (tour-expect "a step goes to the next line" (tour-stopped)
               (format "kernel_main kernel.c:%s" (1+ (tour-line "kernel.c" "page_table_root()"))))
  (dap-step-in (tour-session))
  (let ((inside (tour-stopped)))
    (unless (string-prefix-p "print kernel.c:" inside) (error "A step into print led to %s" inside))
    (tour-say "a step leads into a function"))
  (tour-expect "the caller is below it" (nth 1 (tour-frames)) "kernel_main")
  (dap-step-out (tour-session))
  (let ((outside (tour-stopped)))
    (unless (string-prefix-p "kernel_main kernel.c:" outside) (error "A step out of print led to %s" outside))
    (tour-say "a step leads out of it"))

  ;; The breakpoint is taken away and another, with a condition, set while the guest stands still.
  (tour-toggle "kernel.c" "page_table_root()")
  (tour-toggle "paging.c" "*entry |= PRESENT")
  (cl-letf (((symbol-function 'read-string) (lambda (&rest _) "shift == 30")))
    (call-interactively #'dap-breakpoint-condition))
  (dap-continue (tour-session) (dap--debug-session-thread-id (tour-session)))
  (tour-expect "a condition is heeded" (cadr (split-string (tour-stopped)))
               (format "paging.c:%s" (tour-line "paging.c" "*entry |= PRESENT")))
  (tour-expect "an expression has the value of the frame" (tour-evaluate "shift * 2") "60")
  (unless (cl-some (lambda (label) (string-match-p "^shift.*30" label)) (tour-locals "Locals"))
    (error "No shift = 30 among the locals: %S" (tour-locals "Locals")))
  (tour-say "the view of variables shows the locals")
  (let ((registers (tour-locals "Control registers")))
    (unless (cl-some (lambda (label) (string-prefix-p "cr3" label t)) registers)
      (error "No CR3 among the control registers: %S" registers)))
  (tour-say "and the control registers")

  (tour-toggle "paging.c" "*entry |= PRESENT")
  (dap-continue (tour-session) (dap--debug-session-thread-id (tour-session)))
  (tour-wait "end of the guest" (lambda () (not (dap--session-running (tour-session)))))
  (tour-expect "the end of the guest ends the session" (dap--debug-session-state (tour-session)) 'terminated)
  (with-current-buffer (dap--debug-session-output-buffer (tour-session))
    (unless (string-match-p "tour: the program ended with status 0x0" (buffer-string))
      (error "The console shows %S" (buffer-string))))
  (tour-say "the console of the guest is shown")
  (princ "done\n"))

(condition-case problem
    (tour-play)
  (error
   (princ (format "FAILED %s\n" (error-message-string problem)))
   (when (get-buffer "*tour stderr*")
     (princ (with-current-buffer "*tour stderr*" (buffer-string))))
   (kill-emacs 1)))
