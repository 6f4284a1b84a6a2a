"""Plain HTTP: who may send a request, what each path answers, and how an answer is sent."""
